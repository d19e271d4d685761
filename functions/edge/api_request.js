// CloudFront function for requests to the API (viewer request, runtime 2.0).
//
// Nothing that a client sends may be mistaken for what the platform adds, and no path may mean something else to a
// service than to the API that authorized it: API Gateway decodes `{proxy+}` before it passes a path on (API Gateway
// Developer Guide, "Important notes for REST APIs"). The web ACL of the load balancer refuses what this function
// removes or refuses, because other distributions can reach it.

// API Gateway compares the names of headers by case, so a client's header would be passed on beside ours. The others
// would change the method, or select another private API.
var RESERVED = [
    "x-caller-subject",
    "x-request-id",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-apigw-api-id",
];

// Encoded: NUL . / \ ? # ; %. As they are: dots as a whole segment, backslashes and semicolons.
var AMBIGUOUS = /%(00|2e|2f|5c|3f|23|3b|25)|\/\.{1,2}(\/|$)|\\|;/i;

function handler(event) {
    var request = event.request;
    if (AMBIGUOUS.test(request.uri)) {
        return {
            statusCode: 400,
            statusDescription: "Bad Request",
            headers: { "content-type": { value: "application/problem+json" } },
            body: JSON.stringify({
                type: "/problems/malformed",
                title: "Malformed request",
                status: 400,
                detail: "the path contains encoded dots, slashes or question marks, or dots as a segment",
                requestId: event.context.requestId,
            }),
        };
    }
    RESERVED.forEach(function (name) {
        delete request.headers[name];
    });
    return request;
}
