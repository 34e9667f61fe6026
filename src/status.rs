//! The statuses this call may answer, one row each: code, OpenStack fault
//! name, default message.
//!
//! Where the codes and the fault names come from: docs/api-facts.md#fault-names. A new status is
//! a row of `statuses!` (CONTRIBUTING, "Add an HTTP status").

/// One documented status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The member that wraps the error in the JSON body.
    pub fault: &'static str,
    /// What the client reads when there is nothing more exact to say.
    pub message: &'static str,
    /// The JSON body with that message.
    pub body: &'static str,
    /// The JSON body up to its message.
    pub opening: &'static str,
}

macro_rules! statuses {
    ($($name:ident = $code:literal $fault:literal $message:literal)*) => {
        $(
            #[doc = concat!("`", $code, "`: ", $message)]
            pub const $name: &Status = &Status {
                code: $code,
                fault: $fault,
                message: $message,
                body: concat!("{\"", $fault, "\":{\"code\":", $code, ",\"message\":\"", $message, "\"}}"),
                opening: concat!("{\"", $fault, "\":{\"code\":", $code, ",\"message\":\""),
            };
        )*

        /// Every status other than 200 that this call answers.
        pub const ALL: &[&Status] = &[$($name),*];
    };
}

statuses! {
    BAD_REQUEST = 400 "badRequest" "The request is malformed."
    UNAUTHORIZED = 401 "unauthorized" "The request needs authentication."
    FORBIDDEN = 403 "forbidden" "You may not do this in this project."
    NOT_FOUND = 404 "itemNotFound" "The resource could not be found."
    METHOD_NOT_ALLOWED = 405 "badMethod" "Only GET counts backup sharings."
    NOT_ACCEPTABLE = 406 "computeFault" "The answer is application/json, which the accept header rules out."
    PROXY_AUTHENTICATION_REQUIRED = 407 "computeFault" "The proxy in front of the count store needs authentication."
    CONFLICT = 409 "conflictingRequest" "The request conflicts with another."
    INTERNAL_SERVER_ERROR = 500 "computeFault" "The count failed for a reason inside the service."
    NOT_IMPLEMENTED = 501 "notImplemented" "The count store does not support this call."
    BAD_GATEWAY = 502 "computeFault" "The count store gave an answer that cannot be used."
    SERVICE_UNAVAILABLE = 503 "serviceUnavailable" "The count store is unavailable. Try again later."
    GATEWAY_TIMEOUT = 504 "computeFault" "The count store did not answer in time."
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_body_is_json_as_it_stands() {
        for status in super::ALL {
            let code = status.code;
            let expected =
                serde_json::json!({ status.fault: {"code": code, "message": status.message} });
            assert_eq!(serde_json::from_str::<serde_json::Value>(status.body).unwrap(), expected);
            assert!(status.body.starts_with(status.opening), "{code}");
        }
    }
}
