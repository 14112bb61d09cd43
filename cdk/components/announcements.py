"""The topic that tells the team's other systems what became of a task."""

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct


class Announcements(Construct):
    """Nothing subscribes by default; subscribers filter by the attributes of an event."""

    def __init__(self, scope: Construct, id_: str, *, key: kms.IKey | None) -> None:
        super().__init__(scope, id_)
        self.topic = sns.Topic(self, "Topic", enforce_ssl=True, master_key=key)
