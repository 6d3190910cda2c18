"""How template.yaml has jobs worked on: each chunk three times, what fails named in a queue, all of it on the dashboard. Part of infra/check-template."""

import json

# Lambda needs some time to end a worker whose own is over.
END_SECONDS = 60


def problems(template):
    yield from event_problems(template)
    yield from map_problems(template)
    yield from dashboard_problems(template)


def event_problems(template):
    """A worker's event is tried three times and then a letter."""
    worker = template["Resources"]["WorkerFunction"]["Properties"]
    if worker.get("EventInvokeConfig", {}).get("MaximumRetryAttempts") != 2:
        yield "WorkerFunction: an event is not tried three times"
    if worker.get("DeadLetterQueue") != {"Type": "SQS", "TargetArn": {"Fn::GetAtt": ["WorkerDeadLetters", "Arn"]}}:
        yield "WorkerFunction: events that fail are not kept in WorkerDeadLetters"


def map_problems(template):
    """So is a chunk of a large job, and the others go on."""
    text = template["Resources"]["JobMap"]["Properties"]["DefinitionString"]["Fn::Sub"]
    concurrency = "${MapConcurrency}"
    try:
        chunks = json.loads(text.replace(concurrency, f'"{concurrency}"'))["States"]["Chunks"]
    except ValueError as error:
        yield f"JobMap: the definition is not JSON: {error}"
        return
    if chunks.get("MaxConcurrency") != concurrency:
        yield "JobMap: MaxConcurrency is not the parameter MapConcurrency"
    if any(key.startswith("Tolerated") for key in chunks):
        yield "JobMap: a threshold of failures ends the chunks that are sound"
    processor = chunks["ItemProcessor"]
    if processor["ProcessorConfig"]["Mode"] != "DISTRIBUTED":
        yield "JobMap: the map is not distributed"
    work, letter = processor["States"]["Work"], processor["States"]["DeadLetter"]
    if work["Parameters"]["FunctionName"] != "${WorkerFunction.Arn}:live":
        yield "JobMap: chunks are not worked on by the worker's alias"
    if work["TimeoutSeconds"] < template["Parameters"]["WorkerTimeout"]["MaxValue"] + END_SECONDS:
        yield "JobMap: a chunk may be given up before its worker's time is over"
    retries = [(retry["ErrorEquals"], retry["MaxAttempts"]) for retry in work["Retry"]]
    if retries[-1:] != [(["States.ALL"], 2)]:
        yield "JobMap: a chunk is not tried three times"
    # Nobody has failed where no execution was free.
    if len(retries) != 2 or retries[0][0] != ["Lambda.TooManyRequestsException"] or retries[0][1] < 10:
        yield "JobMap: a chunk does not wait for a free execution"
    if [(catch["ErrorEquals"], catch["Next"]) for catch in work["Catch"]] != [(["States.ALL"], "DeadLetter")]:
        yield "JobMap: a chunk that fails ends the others"
    if letter["Parameters"] != {"QueueUrl": "${WorkerDeadLetters}", "MessageBody.$": "States.JsonToString($.event)"}:
        yield "JobMap: a chunk that fails is not named in WorkerDeadLetters by its event"


def dashboard_problems(template):
    """Every function, the state machine and the queue have their rows."""
    body = json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    metrics = [metric for widget in body["widgets"] for metric in widget["properties"].get("metrics", [])]
    shown = {(metric[0], metric[1], metric[3]) for metric in metrics}
    functions = [name for name, resource in template["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"]
    wanted = [("AWS/Lambda", metric, "${%s}" % name) for name in functions for metric in ("ConcurrentExecutions", "Duration", "Errors", "Throttles")]
    wanted += [("cipherfn", metric, "${%s}" % name) for name in functions for metric in ("Panics", "Failed", "ColdStart")]
    wanted += [("AWS/Lambda", metric, "${WorkerFunction}") for metric in ("AsyncEventsReceived", "AsyncEventAge")]
    wanted += [("AWS/States", f"Executions{end}", "${JobMap}") for end in ("Started", "Succeeded", "Failed")]
    wanted += [("AWS/SQS", "ApproximateNumberOfMessagesVisible", "${WorkerDeadLetters.QueueName}"), ("cipherfn", "Rows", "${WorkerFunction}")]
    yield from (f"the dashboard does not show {metric} of {name}" for space, metric, name in wanted if (space, metric, name) not in shown)
