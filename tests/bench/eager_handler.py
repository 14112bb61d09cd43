"""The handler that section `cold-start` compares with: what everybody imports first, and one client."""

import boto3
import openai
import pydantic
from aws_lambda_powertools import Logger, Metrics, Tracer

logger = Logger()
metrics = Metrics()
tracer = Tracer()
PACKAGES = (boto3, openai, pydantic)


def wiring() -> object:
    """One client."""
    return boto3.client("dynamodb")
