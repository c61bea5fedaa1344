"""A broker that lets nobody in without a certificate, a password or a token; and the things to come in with."""

import asyncio
import base64
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import jwt
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from rendercast.broker.local import LocalBroker, free_port
from rendercast.topics import admin
from schemas.settings import KafkaSettings

USER, PASSWORD = "rendercast", "pass word=;%"
KEY_PASSWORD = "key password"
AUDIENCE = "kafka"
SECURITY = "org.apache.kafka.common.security"
_TOPIC, _GROUP, _TRANSACTIONAL_ID, _LITERAL, _PREFIXED, _ALLOW = 2, 3, 5, 3, 4, 3
_OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8}
"""Codes of Kafka's protocol."""

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=SASL_TLS://127.0.0.1:{sasl_tls},SASL://127.0.0.1:{sasl},MTLS://127.0.0.1:{mtls},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=SASL_TLS:SASL_SSL,SASL:SASL_PLAINTEXT,MTLS:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=MTLS
controller.listener.names=CONTROLLER
listener.name.sasl_tls.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_tls.plain.sasl.jaas.config={plain}
listener.name.sasl.plain.sasl.jaas.config={plain}
listener.name.sasl_tls.scram-sha-256.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.sasl_tls.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.sasl_tls.oauthbearer.sasl.jaas.config={security}.oauthbearer.OAuthBearerLoginModule required;
listener.name.sasl_tls.oauthbearer.sasl.server.callback.handler.class={security}.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.sasl_tls.oauthbearer.sasl.oauthbearer.jwks.endpoint.url=file://{directory}/jwks.json
listener.name.sasl_tls.oauthbearer.sasl.oauthbearer.expected.audience={audience}
listener.name.mtls.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={directory}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={directory}/ca.pem
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:CN=broker;User:ANONYMOUS
allow.everyone.if.no.acl.found={open}
"""


@dataclass(frozen=True)
class Issuer:
    """Signs certificates; with `ca.pem` as its own."""

    name: x509.Name
    key: rsa.RSAPrivateKey

    @classmethod
    def make(cls, path: Path) -> "Issuer":
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        made = cls(name, _key())
        path.write_bytes(made._sign(name, made.key, authority=True).public_bytes(Encoding.PEM))
        return made

    def certificate(self, common_name: str, path: Path, password: str = "") -> None:
        """One file with certificate and key."""
        key, subject = _key(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        how = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        path.write_bytes(
            self._sign(subject, key, authority=False).public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
        )

    def _sign(self, subject: x509.Name, key: rsa.RSAPrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(self.key, SHA256())
        )  # fmt: skip


class SecureBroker(LocalBroker):
    """SASL_SSL at `port`, SASL_PLAINTEXT (PLAIN) at `sasl`, TLS with client certificates at `mtls`.

    `users` come in by PLAIN with the password. Without ACLs everybody may do everything, unless it `denies`.
    """

    def __init__(self, directory: Path, users: Iterable[str] = (USER,), *, denies: bool = False) -> None:
        super().__init__(directory)
        self._users, self._denies = tuple(users), denies
        self.sasl, self.mtls = free_port(), free_port()
        self._token_key = _key()

    def format(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        issuer = Issuer.make(self.directory / "ca.pem")
        issuer.certificate("broker", self.directory / "broker.pem")
        issuer.certificate(USER, self.directory / "client.pem")
        issuer.certificate(USER, self.directory / "locked.pem", KEY_PASSWORD)
        (self.directory / "jwks.json").write_text(json.dumps({"keys": [self._jwk()]}))
        known = " ".join(f'user_{user}="{PASSWORD}"' for user in self._users)
        plain = f"{SECURITY}.plain.PlainLoginModule required {known};"
        self._config.write_text(
            _PROPERTIES.format(
                controller=self.controller_port, sasl_tls=self.port, sasl=self.sasl, mtls=self.mtls,
                directory=self.directory, audience=AUDIENCE, plain=plain, security=SECURITY,
                open=str(not self._denies).lower(),
            )
        )  # fmt: skip
        scram = [f'SCRAM-SHA-{size}=[name={USER},password="{PASSWORD}"]' for size in (256, 512)]
        self._java(
            "kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(self._config),
            "--add-scram", scram[0], "--add-scram", scram[1],
        ).wait()  # fmt: skip

    @property
    def as_itself(self) -> KafkaSettings:
        """The broker's own user, who may do everything."""
        return KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{self.mtls}", security_protocol="SSL",
            ssl_cafile=self.directory / "ca.pem", ssl_certfile=self.directory / "broker.pem",
        )  # fmt: skip

    def as_user(self, user: str) -> KafkaSettings:
        return KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{self.sasl}", security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
            sasl_username=user, sasl_password=PASSWORD,
        )  # fmt: skip

    def allow(
        self,
        principal: str,
        operation: str,
        topic: str | None = None,
        group: str | None = None,
        transactional_ids: str | None = None,
    ) -> None:
        """Add an ACL: what it names is then for nobody else. Transactional ids go by how they begin."""
        kind, name, pattern = _TOPIC, topic, _LITERAL
        if group:
            kind, name = _GROUP, group
        elif transactional_ids:
            kind, name, pattern = _TRANSACTIONAL_ID, transactional_ids, _PREFIXED
        request = CreateAclsRequest(kind, name, pattern, f"User:{principal}", "*", _OPERATIONS[operation], _ALLOW)

        async def run():
            async with admin(self.as_itself) as client:
                node = client._client.get_random_node()
                return await client._client.send(node, request)

        assert [each[0] for each in asyncio.run(run()).creation_responses] == [0]

    def token(self, seconds: float = 600) -> str:
        claims = {"sub": USER, "aud": AUDIENCE, "iat": int(time.time()), "exp": int(time.time() + seconds)}
        return jwt.encode(claims, self._token_key, algorithm="RS256", headers={"kid": "one"})

    def _jwk(self) -> dict[str, str]:
        numbers = self._token_key.public_key().public_numbers()
        return {
            "kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256",
            "n": _base64(numbers.n), "e": _base64(numbers.e),
        }  # fmt: skip


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _base64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).decode().rstrip("=")
