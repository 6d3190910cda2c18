"""What a CloudFormation template is under every combination of the parameters that its conditions ask for: which combinations its rules let through, and whether what exists then refers to what
does not. Parameters that no condition and no rule brings together are not crossed: each such group is gone through alone, which finds the same. Used by check-template."""

import itertools
import math
import re


def evaluate(expression, parameters, conditions):
    """The value of a condition's or a rule's expression; `conditions` are the template's own, unevaluated."""
    if not isinstance(expression, dict):
        return expression
    ((function, value),) = expression.items()
    if function == "Ref":
        return parameters[value]
    if function == "Condition":
        return evaluate(conditions[value], parameters, conditions)
    if function == "Fn::Join":
        return value[0].join(evaluate(value[1], parameters, conditions))
    values = [evaluate(each, parameters, conditions) for each in value]
    if function == "Fn::Equals":
        return str(values[0]) == str(values[1])
    if function == "Fn::Contains":
        return values[1] in values[0]
    if function == "Fn::Not":
        return not values[0]
    if function == "Fn::And":
        return all(values)
    if function == "Fn::Or":
        return any(values)
    raise ValueError(f"conditions with {function} are not known to this check")


def asked_for(expression, function):
    """Names in an expression that `function` asks for: the parameters of Ref, the conditions of Condition."""
    if isinstance(expression, dict):
        if set(expression) == {function}:
            return {expression[function]}
        expression = list(expression.values())
    return set().union(*(asked_for(each, function) for each in expression)) if isinstance(expression, list) else set()


def decisions(template):
    """The conditions and rules that no others share a parameter with, as (parameters, conditions, rules): what one of them says does not depend on the others."""
    conditions = template["Conditions"]

    def deciding(expression):
        return asked_for(expression, "Ref").union(*(deciding(conditions[name]) for name in asked_for(expression, "Condition")))

    found = []
    asking = [(deciding(body), {name}, []) for name, body in conditions.items()] + [(asked_for(rule, "Ref"), set(), [rule]) for rule in template.get("Rules", {}).values()]
    for parameters, names, rules in asking:
        joined = [other for other in found if other[0] & parameters]
        found = [other for other in found if not other[0] & parameters]
        found.append((parameters.union(*(other[0] for other in joined)), names.union(*(other[1] for other in joined)), sum((other[2] for other in joined), rules)))
    return found


def combinations(template, samples, parameters, rules):
    """Values of some parameters, in every combination that the rules let through. A parameter without a list of values has its default and its sample."""
    names = sorted(parameters)
    choices = []
    for name in names:
        parameter = template["Parameters"][name]
        values = parameter.get("AllowedValues") or [parameter["Default"], samples[name]]
        choices.append([str(value).split(",") if parameter["Type"] == "CommaDelimitedList" else value for value in values])
    for values in itertools.product(*choices):
        combination = dict(zip(names, values))
        if all(
            evaluate(assertion["Assert"], combination, {})
            for rule in rules
            if evaluate(rule.get("RuleCondition", True), combination, {})
            for assertion in rule["Assertions"]
        ):
            yield combination


def empty(parameter):
    """That a parameter is empty, as a fact beside the conditions' names."""
    return ("empty", parameter)


class Worlds:
    """What can be true at the same time. A fact is the name of a condition, or that a parameter is empty.

    Each decision is gone through alone: a set of facts is possible if each decision has a combination for those of them that it decides."""

    def __init__(self, template, samples):
        self.decisions = []
        for parameters, conditions, rules in decisions(template):
            cases = {
                frozenset({name for name in conditions if evaluate(template["Conditions"][name], values, template["Conditions"])} | {empty(name) for name, value in values.items() if value in ("", [""])})
                for values in combinations(template, samples, parameters, rules)
            }
            self.decisions.append((conditions | {empty(name) for name in parameters}, cases))

    def count(self):
        """How many distinct ones there are."""
        return math.prod(len(cases) for _, cases in self.decisions)

    def possible(self, facts):
        """Whether all facts (fact, held) can be so at once. What nothing decides is never so."""
        decided = set().union(*(own for own, _ in self.decisions))
        return all(fact in decided or not held for fact, held in facts) and all(
            any(all((fact in case) == held for fact, held in facts if fact in own) for case in cases) for own, cases in self.decisions
        )


def references(node, guards=frozenset()):
    """Everything that a part of the template refers to, with the conditions (name, held) under which it does."""
    if isinstance(node, list):
        for each in node:
            yield from references(each, guards)
        return
    if not isinstance(node, dict):
        return
    if "Fn::If" in node:
        condition, held, failed = node["Fn::If"]
        yield from references(held, guards | {(condition, True)})
        yield from references(failed, guards | {(condition, False)})
        return
    for key, value in node.items():
        if key == "Ref":
            yield value.split(".")[0], guards
        elif key == "Fn::GetAtt":
            yield value[0], guards
        elif key == "Fn::Sub":
            pattern, own = (value, {}) if isinstance(value, str) else value
            yield from ((name, guards) for name in re.findall(r"\$\{([\w:]+)", pattern) if name not in own)
            yield from references(own, guards)
        else:
            yield from references(value, guards)


def problems(template, samples):
    """One line a reference that leads nowhere, or to an empty parameter, under some combination."""
    resources, parameters = template["Resources"], template["Parameters"]
    used = {}
    for part, owner in [("Globals", template.get("Globals", {})), *resources.items(), *((f"output {name}", output) for name, output in template.get("Outputs", {}).items())]:
        own = frozenset({(owner["Condition"], True)} if "Condition" in owner else ())
        body = {key: value for key, value in owner.items() if key != "Condition"}
        for target, guards in references(body, own):
            if not target.startswith("AWS::"):
                used.setdefault((target, guards), part)
    for (target, _), part in list(used.items()):
        if target not in resources and target not in parameters:
            yield f"{part} refers to {target}, which does not exist"
    worlds = Worlds(template, samples)
    if worlds.count() < 2:
        yield "the rules let no two combinations of parameters through"
    for (target, guards), part in used.items():
        needed = resources.get(target, {}).get("Condition")
        if needed and worlds.possible(guards | {(needed, False)}):
            yield f"{part} refers to {target}, which there is not where {needed} is false"
        if worlds.possible(guards | {(empty(target), True)}):
            yield f"{part} has the parameter {target} where it is empty"
