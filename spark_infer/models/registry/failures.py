"""What MLflow, an object store's client or a database driver raised, as one of our errors.

Their own classes are not looked at: they come from packages that need not be installed.
"""

from __future__ import annotations

import errno
import re

from spark_infer.config.secrets import without_secrets
from spark_infer.errors import (
    DeadlineError,
    EnvironmentProblem,
    ModelNotFoundError,
    ModelRefusedError,
    RegistryUnavailableError,
    SparkInferError,
)
from spark_infer.models.registry.download import TooManyBytesError
from spark_infer.models.registry.timeouts import GivenUpError

_DENIED_CODES = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
_DENIED = re.compile(
    r"AccessDenied|Forbidden|Unauthorized|NoCredentials|Unable to locate credentials|InvalidAccessKeyId"
    r"|SignatureDoesNotMatch|AuthenticationFailed|AuthorizationFailure|DefaultCredentialsError|password authentication"
    r"|PermissionError|Permission denied|\b40[13] (?:Client )?Error|error code 40[13]\b",
    re.IGNORECASE,
)
_GONE = re.compile(r"NoSuchBucket|NoSuchKey|BucketNotFound|ContainerNotFound|FilesystemNotFound|bucket does not exist")
_PACKAGES = {"botocore": "boto3", "google": "google-cloud-storage", "azure": "azure-storage-file-datalake"}
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_REDIRECT = re.compile(r"error code 30\d\b")


def translated(error: BaseException, address: str) -> Exception:
    """Turn a foreign exception from a registry or an object store into ours.

    Args:
        error: What was raised.
        address: Who was asked; shown without its secrets.

    Returns:
        An error to raise; an `OSError` where the disk is full, for the store to explain.
    """
    if isinstance(error, SparkInferError):
        return error
    chain = _chain(error)
    text = " | ".join(f"{type(each).__name__}: {each}" for each in chain)
    where = without_secrets(address)
    details = [f"{type(error).__name__}: {_short(error)}"]
    if _FULL.search(text):
        return OSError(errno.ENOSPC, "No space left on device")
    missing = next((each for each in chain if isinstance(each, ImportError)), None)
    if missing is not None:
        module = (missing.name or str(missing)).partition(".")[0]
        return EnvironmentProblem(
            f"Reading {where} needs the Python package {_PACKAGES.get(module, module)!r}.",
            next_step="Install it in the driver's environment.",
        )
    if getattr(error, "error_code", "") in _DENIED_CODES or _DENIED.search(text):
        return RegistryUnavailableError(
            f"Permission denied by {where}.",
            details=details,
            next_step="Check the credentials in the environment (MLFLOW_TRACKING_USERNAME and _PASSWORD or _TOKEN, or "
            "the object store's) and what they may read.",
        )
    if _GONE.search(text):
        return ModelNotFoundError(f"{where} does not exist.", details=details, next_step="Check the address.")
    return _unavailable(error, where, text, details)


def too_slow(error: GivenUpError, address: str) -> DeadlineError:
    """The error of a download that was given up."""
    return DeadlineError(
        f"The model's files could not be brought from {without_secrets(address)}: {error}.",
        details=["it stood, the innermost call first:", *error.stack],
        next_step="see whether the place answers; or give it longer with model.download_seconds.",
    )


def too_large(error: TooManyBytesError, address: str, listed: int) -> ModelRefusedError:
    """The error of a download that brought more than the listing says."""
    return ModelRefusedError(
        f"The model's files could not be brought from {without_secrets(address)}: {error.size:,} bytes came, and the "
        "download was stopped.",
        details=[f"its listing has {listed:,} bytes; at most {error.most:,} are taken"],
        next_step="see what the place holds, and whether it still changes; log the model again.",
    )


def _unavailable(error: BaseException, where: str, text: str, details: list[str]) -> RegistryUnavailableError:
    if isinstance(error, TimeoutError):
        stack = getattr(error, "stack", ())
        return RegistryUnavailableError(
            f"{where} does not answer: {error}.",
            details=["it stood, the innermost call first:", *stack] if stack else (),
            next_step="Check that it is up; for a slow server set MLFLOW_HTTP_REQUEST_TIMEOUT (seconds).",
        )
    if getattr(error, "error_code", "") == "ENDPOINT_NOT_FOUND":
        return RegistryUnavailableError(
            f"{where} answers, but not as an MLflow server.", details=details, next_step="Check the tracking URI."
        )
    if _REDIRECT.search(text):
        return RegistryUnavailableError(
            f"{where} redirects to another address, which is not followed.",
            next_step="Give the final address, or set MLFLOW_ALLOW_HTTP_REDIRECTS=true.",
        )
    return RegistryUnavailableError(
        f"{where} does not answer as it should.", details=details, next_step="Check that it is up, then run again."
    )


def printable_cause(error: BaseException) -> BaseException | None:
    """Return the error to chain, or None where a traceback would print an address with a password."""
    return None if any(without_secrets(str(each)) != str(each) for each in _chain(error)) else error


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in chain:
        chain.append(each)
        each = each.__cause__ or each.__context__
    return chain


def _short(error: BaseException, most: int = 240) -> str:
    text = " ".join(without_secrets(str(error)).split())
    return text if len(text) <= most else text[: most - 1] + "…"
