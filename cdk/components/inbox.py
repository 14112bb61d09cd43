"""A queue that rings a function, with the dead-letter queue behind it."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ratchet.contracts.limits import QUEUE_RECEIVES


class Inbox(Construct):
    """Doorbell only: the table is the backlog, so a lost message is found again there."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        consumer_timeout: Duration,
        burier_timeout: Duration,
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, id_)
        encryption = sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            retention_period=Duration.days(14),
            visibility_timeout=Duration.seconds(6 * burier_timeout.to_seconds()),
            encryption=encryption,
            encryption_master_key=key,
            enforce_ssl=True,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            # Six times: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
            visibility_timeout=Duration.seconds(6 * consumer_timeout.to_seconds()),
            encryption=encryption,
            encryption_master_key=key,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=QUEUE_RECEIVES
            ),
        )

    def ring(self, consumer: lambda_.Function, *, batch_size: int, max_concurrency: int) -> None:
        """Invoke the consumer with batches; it names the messages that failed."""
        consumer.add_event_source(
            event_sources.SqsEventSource(
                self.queue,
                batch_size=batch_size,
                max_concurrency=max_concurrency,
                report_batch_item_failures=True,
            )
        )

    def bury(self, consumer: lambda_.Function) -> None:
        """Invoke the consumer with dead letters, one at a time: it ends the tasks that cannot be started.

        Those beside a letter that kills it, or that waits long for a service, would seem to have killed it too.
        """
        consumer.add_event_source(
            event_sources.SqsEventSource(
                self.dead_letters, batch_size=1, max_concurrency=2, report_batch_item_failures=True
            )
        )
