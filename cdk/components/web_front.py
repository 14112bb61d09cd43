"""The web front (`web_acl_arn`): CloudFront with the team's web ACL before the API, and what shows that it was used."""

from dataclasses import dataclass

from aws_cdk import Duration, SecretValue
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from cdk.components.acknowledged import acknowledge
from cdk.components.secrets import letters_and_digits
from cdk.deployment import Deployment
from ratchet.contracts.access import ORIGIN_HEADER

# CloudFront keeps these for 10 s if nobody says otherwise, and gives one caller's to all who ask for the same path:
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
_KEPT_ERRORS = (400, 403, 404, 405, 414, 500, 501, 502, 503, 504)
ORIGIN_TIMEOUT = Duration.seconds(35)
"""API Gateway gives up after 30 s, and says so; CloudFront must not before it."""


@dataclass(frozen=True, slots=True)
class OwnDomain:
    """The address of the team's own that callers use; its DNS record is the team's, too."""

    name: str
    certificate_arn: str


@dataclass(frozen=True, slots=True)
class WebFrontOptions:
    """What a deployment says of its web front."""

    web_acl_arn: str
    own_domain: OwnDomain | None
    secret_version: str

    @classmethod
    def of(cls, deployment: Deployment) -> "WebFrontOptions | None":
        """None where it has none."""
        if not deployment.web_acl_arn:
            return None
        own = None
        if deployment.web_domain:
            own = OwnDomain(deployment.web_domain, deployment.web_certificate_arn)
        return cls(deployment.web_acl_arn, own, deployment.origin_secret_version)


class OriginSecret(Construct):
    """What CloudFront shows the API; generated when the stack is made, and known to nobody else.

    CloudFormation hands it to CloudFront, and again only when the reference changes: so a value that replaces it is
    named by its version (`origin_secret_version`), and until then the functions take the one before it.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
    """

    def __init__(self, scope: Construct, id_: str, *, key: kms.IKey | None) -> None:
        super().__init__(scope, id_)
        self.secret = secretsmanager.Secret(
            self,
            "Secret",
            description="What CloudFront shows the API. To replace it, put another value, then deploy "
            "with -c origin_secret_version=<VersionId>, before you replace it again.",
            encryption_key=key,
            generate_secret_string=letters_and_digits(),
        )
        acknowledge(
            self.secret,
            {
                "SMG4": "CloudFront takes a new value by a deployment only: whoever deploys rotates it."
            },
        )

    def reference(self, version: str) -> str:
        """What CloudFormation puts its value in place of."""
        value = SecretValue.secrets_manager(self.secret.secret_arn, version_id=version or None)
        return value.unsafe_unwrap()  # a reference: the template never holds the value


class WebFront(Construct):
    """CloudFront: it keeps no answer, passes on all that callers send but the Host, and shows the secret.

    AWS WAF attaches to CloudFront and to REST APIs, not to HTTP APIs:
    https://docs.aws.amazon.com/waf/latest/developerguide/how-aws-waf-works-resources.html
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        origin_host: str,
        shows: str,
        options: WebFrontOptions,
    ) -> None:
        super().__init__(scope, id_)
        self._own_domain = own = options.own_domain
        self._distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment="Ratchet: the web ACL before the API.",
            web_acl_id=options.web_acl_arn,
            default_behavior=_everything_to(origin_host, shows),
            error_responses=[
                cloudfront.ErrorResponse(http_status=status, ttl=Duration.seconds(0))
                for status in _KEPT_ERRORS
            ],
            domain_names=[own.name] if own else None,
            certificate=self._certificate(),
            minimum_protocol_version=(
                cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021 if own else None
            ),
        )
        self._accept_findings()

    @property
    def url(self) -> str:
        """Where callers find the API."""
        own = self._own_domain
        return f"https://{own.name if own else self.domain}"

    @property
    def domain(self) -> str:
        """CloudFront's own address, where the DNS record of the team's leads."""
        return self._distribution.distribution_domain_name

    def _certificate(self) -> certificates.ICertificate | None:
        own = self._own_domain
        if own is None:
            return None
        return certificates.Certificate.from_certificate_arn(
            self, "Certificate", own.certificate_arn
        )

    def _accept_findings(self) -> None:
        reasons = {
            "CFR1": "Which countries may call is for the team's web ACL to say, with its other rules.",
            "CFR3": "API Gateway logs every request, and the web ACL logs callers where the team wants it.",
        }
        if self._own_domain is None:
            # https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ViewerCertificate.html
            reasons["CFR4"] = (
                "CloudFront's own certificate allows no other minimum; web_domain brings TLS 1.2."
            )
        acknowledge(self._distribution, reasons)


def _everything_to(host: str, shows: str) -> cloudfront.BehaviorOptions:
    return cloudfront.BehaviorOptions(
        origin=origins.HttpOrigin(
            host,
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
            origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
            read_timeout=ORIGIN_TIMEOUT,
            custom_headers={ORIGIN_HEADER: shows},
        ),
        viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
        cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
        origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
    )
