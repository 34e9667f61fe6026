"""What schemathesis finds that is no fault, each with its reason. Nothing else is left out."""

import schemathesis

ZONES = {"availability_zone", "avalilability_zone"}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False: no failure. The report counts how often."""
    said = response.content
    # OpenAPI cannot say of two parameters that one may be given: it takes both for valid.
    both = ZONES <= set(case.query or {}) and response.status_code == 400
    if both and type(failure).__name__ == "RejectedPositiveData":
        return b"avalilability_zone (or availability_zone): expected once" not in said
    # Envoy refuses a QUERY without a content-type (`query_missing_content_type`) before any filter
    # sees it; with one, the filter answers 405. schemathesis sends none.
    query = response.request.method == "QUERY" and "content-type" not in response.request.headers
    if query and response.status_code == 400 and type(failure).__name__ == "UnsupportedMethodResponse":
        return b"The request is not well-formed HTTP" not in said
    return True
