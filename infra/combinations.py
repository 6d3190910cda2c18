"""What a CloudFormation template is under every combination of the parameters that its conditions ask for: which combinations its rules let through, and whether what exists then refers to what
does not. Used by check-template."""

import functools
import itertools
import json
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


def asked_for(expression):
    """Names of the parameters in an expression."""
    if isinstance(expression, dict):
        if set(expression) == {"Ref"}:
            return {expression["Ref"]}
        return set().union(*map(asked_for, expression.values()))
    return set().union(*map(asked_for, expression)) if isinstance(expression, list) else set()


def combinations(template, samples):
    """Values of the parameters that decide anything, in every combination that the rules let through. A parameter without a list of values has its default and its sample."""
    rules = template.get("Rules", {})
    names = sorted(asked_for(template["Conditions"]) | asked_for(rules))
    choices = []
    for name in names:
        parameter = template["Parameters"][name]
        values = parameter.get("AllowedValues") or [parameter["Default"], samples[name]]
        choices.append([str(value).split(",") if parameter["Type"] == "CommaDelimitedList" else value for value in values])
    for values in itertools.product(*choices):
        parameters = dict(zip(names, values))
        if all(
            evaluate(assertion["Assert"], parameters, {})
            for rule in rules.values()
            if evaluate(rule.get("RuleCondition", True), parameters, {})
            for assertion in rule["Assertions"]
        ):
            yield parameters


@functools.cache
def worlds(decisions, samples):
    """Which conditions hold and which parameters are empty, once for each distinct case. Of JSON, to be remembered: it is the same for most changes of a template."""
    template = json.loads(decisions)
    found = set()
    for values in combinations(template, json.loads(samples)):
        holds = frozenset(name for name, condition in template["Conditions"].items() if evaluate(condition, values, template["Conditions"]))
        found.add((holds, frozenset(name for name, value in values.items() if value in ("", [""]))))
    return found


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
    decisions = {part: template.get(part, {}) for part in ("Conditions", "Rules", "Parameters")}
    cases = worlds(json.dumps(decisions), json.dumps(samples))
    if len(cases) < 2:
        yield "the rules let no two combinations of parameters through"
    for (target, guards), part in used.items():
        needed = resources.get(target, {}).get("Condition")
        reached = [(holds, empty) for holds, empty in cases if all((name in holds) == held for name, held in guards)]
        if needed and any(needed not in holds for holds, _ in reached):
            yield f"{part} refers to {target}, which there is not where {needed} is false"
        if any(target in empty for _, empty in reached):
            yield f"{part} has the parameter {target} where it is empty"
