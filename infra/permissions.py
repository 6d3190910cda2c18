"""Who may take each role of template.yaml, and what it may do besides reading and writing objects: part of infra/check-template."""

LAMBDA = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}"
STATES = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
API = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/$default/*"
# What Lambda needs of a function's role to join a network. Their resources have no names yet.
NETWORK = {f"ec2:{action}" for action in ("AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets", "UnassignPrivateIpAddresses")}
DECRYPT = {("kms:Decrypt", "${KmsKeyArn}")}
ENCRYPT = DECRYPT | {("kms:GenerateDataKey", "${KmsKeyArn}")}
FUNCTIONS = ("Specs", "RegisterKey", "Infer", "Jobs", "Worker")


def function(name):
    """What every function does: logs, traces, joins a network."""
    logs = {(f"logs:{action}", "${%sLogs.Arn}" % name) for action in ("CreateLogStream", "PutLogEvents")}
    return logs | {(f"xray:{action}", "*") for action in ("PutTraceSegments", "PutTelemetryRecords")} | {(action, "*") for action in NETWORK}


# Anything else in a policy is a problem.
ACTIONS = {
    "SpecsRole": function("Specs") | DECRYPT,
    "RegisterKeyRole": function("RegisterKey") | ENCRYPT,
    "InferRole": function("Infer") | DECRYPT,
    "JobsRole": function("Jobs")
    | ENCRYPT
    | {("lambda:InvokeFunction", f"${{WorkerFunction.Arn}}{alias}") for alias in ("", ":live")}
    | {("states:StartExecution", f"{STATES}:stateMachine:${{AWS::StackName}}-map"), ("states:DescribeExecution", f"{STATES}:execution:${{AWS::StackName}}-map:*")},
    "WorkerRole": function("Worker") | ENCRYPT | {("lambda:InvokeFunction", f"{LAMBDA}-worker:live"), ("sqs:SendMessage", "${WorkerDeadLetters.Arn}")},
    # A distributed map starts an execution of its own a chunk.
    "JobMapRole": {("lambda:InvokeFunction", "${WorkerFunction.Arn}:live"), ("sqs:SendMessage", "${WorkerDeadLetters.Arn}")}
    | {("states:StartExecution", f"{STATES}:stateMachine:${{AWS::StackName}}-map")}
    | {(f"states:{action}Execution", f"{STATES}:execution:${{AWS::StackName}}-map/*") for action in ("Describe", "Stop")},
    "DeploymentRole": {("cloudwatch:DescribeAlarms", "*")}
    | {
        (f"lambda:{action}", f"${{{name}Function.Arn}}{alias}")
        for action in ("GetAlias", "UpdateAlias", "GetProvisionedConcurrencyConfig")
        for name in FUNCTIONS
        for alias in ("", ":live")
    },
    "PublisherPolicy": ENCRYPT,
    "ClientPolicy": {("execute-api:Invoke", f"{API}/{version}/*") for version in ("v1", "v2")},
}
SERVICES = {**{f"{name}Role": "lambda" for name in FUNCTIONS}, "JobMapRole": "states", "DeploymentRole": "codedeploy"}


def problems(name, resource, allowed):
    """`allowed` are pairs of action and resource of all its statements."""
    found = {(action, arn) for action, arn in allowed if not action.startswith("s3:")}
    yield from (f"{name}: {action} on {arn} is more than it needs" for action, arn in sorted(found - ACTIONS[name]))
    yield from (f"{name}: lacks {action} on {arn}" for action, arn in sorted(ACTIONS[name] - found))
    if resource["Type"] != "AWS::IAM::Role":
        return
    trusted = [(statement["Effect"], statement["Action"], statement["Principal"]) for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]]
    if trusted != [("Allow", "sts:AssumeRole", {"Service": f"{SERVICES[name]}.amazonaws.com"})]:
        yield f"{name}: somebody else than {SERVICES[name]} may take it"
