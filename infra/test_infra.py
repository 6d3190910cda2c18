"""Tests of infra/cost, infra/fit-costs and infra/check-template. Run: python3 -m unittest discover -s infra (needs PyYAML)."""

import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True


def script(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


COST = script("cost")
CHECK = script("check-template")
FIT = script("fit-costs")


class Fit(unittest.TestCase):
    # Parts of models as far apart as those of docs/benchmarks.md.
    MODELS = ([60, 300, 20, 10], [10, 90, 60, 40], [400, 1600, 30, 20], [5, 20, 3, 30], [30, 240, 5, 5], [80, 200, 90, 10])

    def test_constants_are_the_compilers(self):
        cmux, level, choice, byte = FIT.constants()
        self.assertAlmostEqual(cmux, 6.2)
        self.assertAlmostEqual(level, 4.6 + 4096 * 0.65e-3)
        self.assertAlmostEqual(choice, 2048 * 1.3e-3)
        self.assertAlmostEqual(byte, 1e-4)

    def test_measurements_that_agree_leave_the_constants(self):
        factors, _ = FIT.fit([(parts, sum(parts)) for parts in self.MODELS])
        for factor in factors:
            self.assertAlmostEqual(factor, 1)

    def test_models_that_are_alike_move_all_parts_together(self):
        # Least squares have no answer here: one equation, four unknowns.
        factors, weights = FIT.fit([([60, 300, 20, 10], 1.2 * 390)] * 3)
        self.assertTrue(all(0.99 < factor < 1.3 for factor in factors), factors)
        self.assertTrue(weights[1] > 0.5 and max(weights[2:]) < 0.1, weights)

    def test_models_that_differ_give_each_factor(self):
        true = [1.3, 0.8, 1.4, 0.7]
        many = self.MODELS * 40
        factors, weights = FIT.fit([(parts, sum(part * factor for part, factor in zip(parts, true))) for parts in many])
        for factor, expected in zip(factors, true):
            self.assertAlmostEqual(factor, expected, delta=0.05)
        self.assertGreater(min(weights), 0.9)


class Cost(unittest.TestCase):
    def setUp(self):
        self.prices = {
            "lambda_gb_second": {"x86_64": 0.00002, "arm64": 0.00001},
            "lambda_million_requests": {"value": 0.2},
            "step_functions_million_transitions": {"value": 25.0},
            "http_api_million_requests": {"value": 1.0, "increment_bytes": 1000},
            "s3_million_gets": {"value": 0.4},
            "s3_million_puts": {"value": 5.0},
            "s3_gb_month": {"value": 0.02},
            "transfer_out_gb": {"value": 0.1},
            "logs_gb": {"value": 0.5},
            "logs_gb_month": {"value": 0.0},
            "custom_metric_month": {"value": 0.3},
            "alarm_metric_month": {"value": 0.1},
            "dashboard_month": {"value": 3.0},
            "xray_million_traces": {"value": 5.0},
        }
        self.assumed = {
            "s3_wait_ms": 10, "function_overhead_ms": 0, "gets_warm": 2, "gets_cold_more": 2, "cold_share": 0.0, "cold_more_ms": 100,
            "arm64_time_factor": 1.0, "log_bytes_a_request": 1000, "log_stored_months": 1, "reply_framing_bytes": 0, "traced_share": 0.1,
            "predictions_a_key_a_month": 1000, "custom_metrics": 10, "alarm_metrics": 10, "dashboards": 1,
        }
        self.model = {"one_thread_ms": 90, "two_threads_ms": 45, "key_bytes": 1_000_000, "query_bytes": 1500, "reply_bytes": 5000}

    def cost(self, memory=1769, architecture="x86_64", rows=1):
        return COST.cost(self.model, memory, architecture, rows, self.prices, self.assumed)

    def test_every_part_by_hand(self):
        found = self.cost()
        self.assertEqual(found["warm_ms"], 90)
        by_hand = {
            "lambda_compute": 1e6 * 0.09 * 1769 / 1024 * 0.00002,
            "lambda_requests": 0.2,
            "http_api": 5.0,  # the reply, 5,000 bytes, is five increments of 1,000
            "s3_reads": 2 * 0.4,
            "transfer_out": 5.0 * 0.1,
            "logs": 1.0 * 0.5,
            "traces": 0.1 * 5.0,
            "keys": 1000 * (0.001 * 0.02 + 5 * 5.0 / 1e6),
        }
        for part, dollars in by_hand.items():
            self.assertAlmostEqual(found["parts"][part], dollars, places=9, msg=part)
        self.assertAlmostEqual(found["total"], sum(by_hand.values()), places=9)

    def test_half_a_processor_takes_twice_as_long_and_two_half(self):
        self.assertAlmostEqual(COST.row_ms(self.model, 1769 // 2), 90 * 1769 / (1769 // 2))
        self.assertAlmostEqual(COST.row_ms(self.model, 2 * 1769), 45)

    def test_what_was_measured_on_two_threads_is_reproduced_and_bounds_the_rest(self):
        model = {"one_thread_ms": 100, "two_threads_ms": 60}
        self.assertAlmostEqual(COST.row_ms(model, 2 * 1769), 60)
        self.assertGreater(COST.row_ms(model, 10240), 20)

    def test_a_model_without_a_key_neither_reads_nor_stores_one(self):
        self.model["key_bytes"] = 0
        found = self.cost()["parts"]
        self.assertAlmostEqual(found["s3_reads"], 0.4)
        self.assertEqual(found["keys"], 0)

    def test_s3_is_waited_for_only_beyond_the_evaluation(self):
        self.assumed["s3_wait_ms"] = 200
        self.assertEqual(self.cost()["warm_ms"], 200)

    def test_cold_starts_are_billed(self):
        warm = self.cost()["total"]
        self.assumed["cold_share"] = 0.5
        self.assertAlmostEqual(self.cost()["total"] - warm, 1e6 * 0.05 * 1769 / 1024 * 0.00002 + 0.5 * 2 * 0.4)

    def test_rows_share_what_a_request_costs(self):
        one, ten = self.cost()["parts"], self.cost(rows=10)["parts"]
        self.assertAlmostEqual(ten["lambda_requests"], one["lambda_requests"] / 10)
        self.assertAlmostEqual(ten["transfer_out"], one["transfer_out"])

    def test_what_does_not_fit_has_no_price(self):
        self.assertIsNone(self.cost(rows=1000))
        self.model["query_bytes"] = 4 << 20
        self.assertIsNotNone(self.cost())
        self.assertIsNone(self.cost(rows=2))

    def test_jobs_by_hand(self):
        each = {"executions": 3, "api_requests": 2, "puts": 6, "gets": 12, "transitions": 4}
        price_list = {"prices": self.prices, "bulk": each}
        found = COST.of_jobs(self.model, 1769, "x86_64", 10_000, price_list, self.assumed)
        # 90 ms a row: 1,000 rows a chunk.
        self.assertEqual((found["chunks"], found["worker_seconds"]), (10, 900))
        by_hand = {"lambda_compute": 900 * 1769 / 1024 * 0.00002, "requests": 10 * (0.6 + 2.0 + 30.0 + 4.8 + 100.0) / 1e6, "transfer_out": 0.05 * 0.1}
        for part, dollars in by_hand.items():
            self.assertAlmostEqual(found["parts"][part], dollars, places=9, msg=part)
        self.model["query_bytes"] = 1 << 20
        self.assertEqual(COST.of_jobs(self.model, 1769, "x86_64", 640, price_list, self.assumed)["chunks"], 10)

    def test_fixed_costs(self):
        self.assertAlmostEqual(COST.fixed(self.prices, self.assumed), 3.0 + 1.0 + 3.0)

    def test_a_bundle_is_priced_by_its_report(self):
        report = {
            "model": {"family": "tree ensemble"},
            "work": {"predicted_microseconds": 90_000.0},
            "sizes": {"evaluation_key": 1_000_000, "query_row": 1500, "reply_row": 5000, "shared": None},
        }
        measured = {**self.model, "two_threads_ms": 90}
        for memory, rows in ((512, 1), (1769, 10), (10240, 3)):
            self.model = COST.of_report(report)
            predicted = self.cost(memory=memory, rows=rows)
            self.model = measured
            self.assertEqual(predicted, self.cost(memory=memory, rows=rows))
        # Rows that share ciphertexts: all of one for a row alone, their share of it for many.
        report["sizes"]["shared"] = {"query_row": 100, "reply_row": 9}
        self.model = COST.of_report(report)
        self.assertEqual(self.cost()["total"], COST.cost(measured, 1769, "x86_64", 1, self.prices, self.assumed)["total"])
        self.assertEqual([COST.row_bytes(self.model, rows, "query") for rows in (1, 3, 15, 1000)], [1500, 500, 100, 100])
        self.assertLess(self.cost(rows=100)["parts"]["transfer_out"], self.cost()["parts"]["transfer_out"] / 50)

    def test_small_functions_expand_selectors_again(self):
        report = {
            "model": {"family": "tree ensemble"},
            "work": {"predicted_microseconds": 90_000.0},
            "sizes": {"evaluation_key": 1_000_000, "query_row": 1500, "reply_row": 5000, "shared": None},
        }
        functions = [{"memory_mb": 1024, "expanded_again_microseconds": 40_000.0}, {"memory_mb": 3538, "expanded_again_microseconds": 0.0}]
        self.model = COST.of_report(report, functions)
        self.assertIsNone(self.cost(memory=512), "a row has no room")
        self.assertAlmostEqual(COST.row_ms(self.model, 1769), 130)
        self.assertAlmostEqual(COST.row_ms(self.model, 3538), 90)
        with self.assertRaises(SystemExit):
            COST.of_jobs(self.model, 512, "x86_64", 10_000, json.loads((HERE / "prices.json").read_text()), self.assumed)

    def test_inputs_are_complete(self):
        prices = json.loads((HERE / "prices.json").read_text())["prices"]
        measured = json.loads((HERE / "measurements.json").read_text())
        self.assertEqual(set(prices), set(self.prices))
        self.assertEqual(set(measured["assumed"]), set(self.assumed))
        self.assertEqual(set(measured["assumed_means"]), set(self.assumed))
        self.assertTrue(all("source" in price and "read" in price for price in prices.values()))
        for model in measured["models"].values():
            for architecture in ("x86_64", "arm64"):
                self.assertGreater(COST.cost(model, 1769, architecture, 1, prices, measured["assumed"])["total"], 0)


class CheckTemplate(unittest.TestCase):
    """Each rule is broken once; the check has to say so."""

    def setUp(self):
        self.raw = (CHECK.ROOT / "template.yaml").read_text(encoding="utf-8")
        routes = CHECK.of_type(CHECK.load(self.raw), "AWS::ApiGatewayV2::Route").values()
        self.paths = {}
        for route in routes:
            method, path = route["Properties"]["RouteKey"].split(" ")
            self.paths.setdefault(path, {})[method.lower()] = {}

    def problems(self, old="", new="", paths=None, operations=None, source=None):
        self.assertIn(old, self.raw)
        return CHECK.problems(self.raw.replace(old, new, 1) if old else self.raw, {"paths": paths or self.paths}, operations, source)

    def assert_problem(self, pattern, *changes, **compared):
        self.assertRegex("\n".join(self.problems(*changes, **compared)), pattern)

    def test_the_template_holds(self):
        self.assertEqual(self.problems(), [])

    def test_routes(self):
        self.assert_problem("GET /v1/openapi.json of the template is not in", paths={path: item for path, item in self.paths.items() if "openapi" not in path})
        self.assert_problem("PUT /v1/new of docs/openapi.json is not in the template", paths={**self.paths, "/v1/new": {"put": {}, "parameters": []}})
        self.assert_problem("does not authorise", "AuthorizationType: !If [UseJwt, JWT, AWS_IAM]", "AuthorizationType: NONE")
        self.assert_problem("may not invoke InferFunction", "POST/v*/models/*/predict", "POST/v*/models/*/guess")

    def test_pages(self):
        self.assert_problem("other origins than AllowedOrigins", "AllowOrigins: !Ref AllowedOrigins", 'AllowOrigins: ["*"]')
        self.assert_problem("other origins than AllowedOrigins", "- AllowedOrigins: !Ref AllowedOrigins", '- AllowedOrigins: ["*"]')
        self.assert_problem("Api: pages may call without", "CorsConfiguration: !If\n        - HasOrigins\n        - AllowOrigins", "CorsConfiguration: !If\n        - UseIam\n        - AllowOrigins")

    def test_policies(self):
        self.assert_problem("InferRole: s3:PutObject on models/\\* is more", "Sid: ReadModelsKeysAndFrames\n                Effect: Allow\n                Action: [s3:GetObject", "Sid: ReadModelsKeysAndFrames\n                Effect: Allow\n                Action: [s3:GetObject, s3:PutObject")
        self.assert_problem("SpecsRole: s3:GetObject on keys/\\* is more", "${Bucket}/models/*.json", "${Bucket}/keys/*")
        self.assert_problem("wildcard action", "Action: [s3:GetObject]", 'Action: ["s3:*"]')
        self.assert_problem("resource \\*", "Resource: [!GetAtt InferLogs.Arn]", 'Resource: ["*"]')
        self.assert_problem("with prefixes", '                Condition:\n                  StringLike: {"s3:prefix": ["models/*"]}\n', "")
        self.assert_problem("managed policies", "      AssumeRolePolicyDocument:", "      ManagedPolicyArns: [x]\n      AssumeRolePolicyDocument:")

    def test_other_actions(self):
        """Of the roles that work on jobs, each gains, loses or is given to somebody."""
        work = "- Sid: Work\n                Effect: Allow\n                Action: [lambda:InvokeFunction]\n                Resource: [!Sub \"${WorkerFunction.Arn}:live\"]"
        self.assert_problem(r"JobMapRole: lambda:InvokeFunction on \$\{InferFunction.Arn\} is more", work, work.replace(':live"]', ':live", !GetAtt InferFunction.Arn]'))
        self.assert_problem(r"(?s)JobMapRole: sqs:PurgeQueue.*JobMapRole: lacks sqs:SendMessage", "- Sid: DeadLetters\n                Effect: Allow\n                Action: [sqs:SendMessage]", "- Sid: DeadLetters\n                Effect: Allow\n                Action: [sqs:PurgeQueue]")
        self.assert_problem("JobMapRole: lacks states:StopExecution", "[states:DescribeExecution, states:StopExecution]", "[states:DescribeExecution]")
        self.assert_problem("JobsRole: lambda:UpdateFunctionCode on", "- Sid: StartWorkers\n                Effect: Allow\n                Action: [lambda:InvokeFunction]", "- Sid: StartWorkers\n                Effect: Allow\n                Action: [lambda:InvokeFunction, lambda:UpdateFunctionCode]")
        self.assert_problem("JobsRole: s3:GetObject on sums/\\* is more", "Action: [s3:DeleteObject]\n                Resource:\n                  - !Sub \"arn:${AWS::Partition}:s3:::${Bucket}/sums/*\"", "Action: [s3:GetObject, s3:DeleteObject]\n                Resource:\n                  - !Sub \"arn:${AWS::Partition}:s3:::${Bucket}/sums/*\"")
        self.assert_problem("WorkerRole: lambda:InvokeFunction on .*-infer:live is more", "function:${AWS::StackName}-worker:live\"]", "function:${AWS::StackName}-infer:live\"]")
        self.assert_problem("WorkerRole: lacks s3:GetObject on uploads", "/uploads/*\"\n                  - !Sub \"arn:${AWS::Partition}:s3:::${Bucket}/frames/*\"\n              - Sid: KeepStates", "/frames/*\"\n              - Sid: KeepStates")
        self.assert_problem("InferRole: sqs:SendMessage on", "Action: [logs:CreateLogStream, logs:PutLogEvents]\n                Resource: [!GetAtt InferLogs.Arn]", "Action: [logs:CreateLogStream, logs:PutLogEvents, sqs:SendMessage]\n                Resource: [!GetAtt InferLogs.Arn]")
        self.assert_problem("JobMapRole: somebody else than states", "Principal: {Service: states.amazonaws.com}", 'Principal: {AWS: "*"}')

    def test_jobs(self):
        self.assert_problem("an event is not tried three times", "MaximumRetryAttempts: 2", "MaximumRetryAttempts: 1")
        self.assert_problem("not kept in WorkerDeadLetters", "TargetArn: !GetAtt WorkerDeadLetters.Arn", "TargetArn: !GetAtt AlarmTopic.Arn")
        self.assert_problem("MaxConcurrency is not the parameter", '"MaxConcurrency": ${MapConcurrency}', '"MaxConcurrency": 100')
        self.assert_problem("not distributed", '"Mode": "DISTRIBUTED"', '"Mode": "INLINE"')
        self.assert_problem("threshold of failures", '"Label": "chunk"', '"Label": "chunk", "ToleratedFailurePercentage": 5')
        self.assert_problem("a chunk is not tried three times", '"BackoffRate": 5, "MaxAttempts": 2', '"BackoffRate": 5, "MaxAttempts": 3')
        self.assert_problem("does not wait for a free execution", "Lambda.TooManyRequestsException", "Lambda.ServiceException")
        self.assert_problem("a chunk that fails ends the others", '"Catch": [{"ErrorEquals": ["States.ALL"]', '"Catch": [{"ErrorEquals": ["States.Timeout"]')
        self.assert_problem("by its event", "States.JsonToString($.event)", "States.JsonToString($)")
        self.assert_problem("by the worker's alias", '"FunctionName": "${WorkerFunction.Arn}:live"', '"FunctionName": "${WorkerFunction.Arn}"')
        self.assert_problem("given up before its worker", '"TimeoutSeconds": 960', '"TimeoutSeconds": 900')
        self.assert_problem("the definition is not JSON", '"Comment": "Runs', '"Comment": Runs')

    def test_the_dashboard_shows_jobs(self):
        for metric, shown in (
            ('"AWS/Lambda", "Errors", "FunctionName", "${JobsFunction}"', "Errors of ..JobsFunction"),
            ('"AWS/Lambda", "Duration", "FunctionName", "${WorkerFunction}"', "Duration of ..WorkerFunction"),
            ('"AWS/Lambda", "AsyncEventAge", "FunctionName", "${WorkerFunction}"', "AsyncEventAge of ..WorkerFunction"),
            ('"AWS/States", "ExecutionsFailed", "StateMachineArn", "${JobMap}"', "ExecutionsFailed of ..JobMap"),
            ('"AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${WorkerDeadLetters.QueueName}"', "ApproximateNumberOfMessagesVisible of ..WorkerDeadLetters"),
        ):
            space, rest = metric.split(", ", 1)
            self.assert_problem(f"the dashboard does not show {shown}", metric, f'"other", {rest}')

    def test_functions(self):
        self.assert_problem("InferFunction: MemorySize", "MemorySize: !Ref InferMemory", "MemorySize: 1024")
        self.assert_problem("Tracing", "Tracing: Active", "Tracing: PassThrough")
        self.assert_problem("InferFunction: not its own log group", "LogGroup: !Ref InferLogs", "LogGroup: !Ref SpecsLogs")
        self.assert_problem("SpecsFunction: no Panics alarm", "SpecsPanicsAlarm:", "OtherAlarm:")
        self.assert_problem("retention", "RetentionInDays: !Ref LogRetentionDays", "RetentionInDays: 1")

    def test_bucket(self):
        self.assert_problem("not retained", "DeletionPolicy: Retain", "DeletionPolicy: Delete")
        self.assert_problem("BlockPublicAcls", "BlockPublicAcls: true", "BlockPublicAcls: false")
        self.assert_problem("without TLS", "aws:SecureTransport", "aws:Other")
        self.assert_problem("deleted before they expire", "ExpireAfterDays: 97", "ExpireAfterDays: 90")
        self.assert_problem("KeyLifecycle and KeyTtlDays differ", '["7", "30"', '["30"')

    def test_operations_and_source(self):
        self.assert_problem("does not explain `panics`", operations="`errors` `throttles` `duration` `rejected` `5xx` `latency`")
        self.assert_problem("no function reads CIPHERFN_KEY_QUOTA", source='"CIPHERFN_BUCKET"')
        self.assert_problem("no function emits KeyExpand", source="Metric::Evaluate Metric::KeyExpander")
        self.assert_problem("AWS_LAMBDA_FUNCTION_NAME", source="Metric::Evaluate")

    def test_watch(self):
        self.assertRegex("\n".join(CHECK.problems(self.raw, {"paths": self.paths}, None, None, {"/v1/models": "infer", "/v2": "infer"})), "(?s)/v1/models is not specs.*/v2 is no route")
        self.assertEqual(CHECK.problems(self.raw, {"paths": self.paths}, None, None, CHECK.inputs()["router"]), [])

    def test_updates(self):
        self.assert_problem("SpecsFunction: an update is not rolled back", "Alarms: [!Ref SpecsReleaseAlarm]", "Alarms: []")
        self.assert_problem("does not call its function by the alias", "IntegrationUri: !Ref InferFunction.Alias", "IntegrationUri: !Ref InferFunction.Arn")
        self.assert_problem("AutoPublishAlias", "AutoPublishAlias: live", "AutoPublishAlias: other")
        self.assert_problem("may not invoke InferFunction", "FunctionName: !Ref InferFunction.Alias", "FunctionName: !Ref InferFunction")

    def test_what_an_organisation_asks_for(self):
        boundary = "      PermissionsBoundary: !If [HasBoundary, !Ref PermissionsBoundaryArn, !Ref AWS::NoValue]\n"
        self.assert_problem("SpecsRole has no permissions boundary", boundary, "")
        self.assert_problem("SpecsLogs: not encrypted", "      KmsKeyId: !If [UseKms, !Ref KmsKeyArn, !Ref AWS::NoValue]\n", "")
        self.assert_problem("AlarmTopic: not encrypted", "      KmsMasterKeyId: !If [UseKms, !Ref KmsKeyArn, !Ref AWS::NoValue]\n", "")
        self.assert_problem("all functions: not encrypted", "    KmsKeyArn: !If [UseKms, !Ref KmsKeyArn, !Ref AWS::NoValue]\n", "")
        self.assert_problem("does not reach both topics", ", !If [HasAlarmTopicArn, !Ref AlarmTopicArn, !Ref AWS::NoValue]]", "]")
        self.assert_problem("not an Allow", "Effect: Deny\n                  Action: [ec2:AssignPrivateIpAddresses, ", "Effect: Deny\n                  Action: [")

    def test_combinations(self):
        kms = "KmsKeyArn: !If [UseKms, !Ref KmsKeyArn, !Ref AWS::NoValue]"
        self.assert_problem("Globals has the parameter KmsKeyArn where it is empty", kms, "KmsKeyArn: !Ref KmsKeyArn")
        self.assert_problem("Globals has the parameter VpcSubnetIds where it is empty", "VpcConfig: !If [InVpc, ", "VpcConfig: !If [UseIam, ")
        self.assert_problem("DomainMapping refers to Domain, which there is not where HasDomain", "    Type: AWS::ApiGatewayV2::ApiMapping\n    Condition: HasDomain\n", "    Type: AWS::ApiGatewayV2::ApiMapping\n")
        self.assert_problem("output DomainTarget refers to Domain", "    Condition: HasDomain\n    Description: Where", "    Description: Where")
        # Without the rule a domain without certificate is let through.
        self.assert_problem("Domain has the parameter CertificateArn where it is empty", '      - Assert: !Not [!Equals [!Ref CertificateArn, ""]]', '      - Assert: !Not [!Equals [!Ref DomainName, ""]]')
        self.assert_problem("refers to Nothing, which does not exist", "Role: !GetAtt InferRole.Arn", "Role: !GetAtt Nothing.Arn")

    def test_every_combination_that_the_rules_allow_is_tried(self):
        template = CHECK.load(self.raw)
        found = {
            min(parameters): list(CHECK.combinations.combinations(template, CHECK.SAMPLES, parameters, rules))
            for parameters, _, rules in CHECK.combinations.decisions(template)
        }
        # Signed callers with any of issuer and audience, or tokens with both; a domain with certificate and perhaps a zone; a network; 5 switches; 5 limits.
        self.assertEqual(sorted(map(len, found.values())), sorted([4 + 1, 1 + 2, 2, *[2] * 5, *[2] * 5]))
        self.assertTrue(all(values["JwtIssuer"] for values in found["Authorization"] if values["Authorization"] == "JWT"))

    def test_parameters_that_a_condition_brings_together_are_crossed(self):
        template = CHECK.load(self.raw)
        apart = CHECK.combinations.Worlds(template, CHECK.SAMPLES)
        self.assertTrue(apart.possible({("UseKms", True), ("InVpc", False)}))
        template["Conditions"]["KmsInVpc"] = {"Fn::And": [{"Condition": "UseKms"}, {"Condition": "InVpc"}]}
        joined = CHECK.combinations.Worlds(template, CHECK.SAMPLES)
        self.assertTrue(joined.possible({("KmsInVpc", False), ("UseKms", True)}))
        self.assertFalse(joined.possible({("KmsInVpc", True), ("InVpc", False)}))
        self.assertFalse(joined.possible({("KmsInVpc", False), ("UseKms", True), ("InVpc", True)}))

    def test_development_only_settings(self):
        self.assert_problem("CIPHERFN_LOCAL_TENANT", "        CIPHERFN_LOG: ", "        CIPHERFN_LOCAL_TENANT: x\n        CIPHERFN_LOG: ", source='"CIPHERFN_BUCKET"')

    def test_aliases(self):
        self.assert_problem("aliases", "Version: \"2012-10-17\"", "Version: &version \"2012-10-17\"")


if __name__ == "__main__":
    unittest.main()
