using System.Text.Json.Nodes;

namespace Pulse.StripeDouble;

/// <summary>A refusal as Stripe's API words it.</summary>
public sealed class StripeException(int status, string type, string message, string? code = null, string? parameter = null) : Exception(message)
{
    /// <summary>The HTTP status.</summary>
    public int Status => status;

    /// <summary>invalid_request_error, idempotency_error, rate_limit_error, api_error.</summary>
    public string Type => type;

    /// <summary>resource_missing and the like.</summary>
    public string? Code => code;

    /// <summary>There is none of that id: 404 for the one that is asked for, 400 for one that is mentioned.</summary>
    public static StripeException Missing(string kind, string? id, string parameter = "id") =>
        new(parameter == "id" ? 404 : 400, "invalid_request_error", $"No such {kind}: '{id}'", "resource_missing", parameter);

    /// <summary>The request can't be carried out.</summary>
    public static StripeException Invalid(string message, string? parameter = null, string? code = null) =>
        new(400, "invalid_request_error", message, code, parameter);

    internal JsonObject ToJson(string requestId)
    {
        var error = new JsonObject { ["type"] = type };
        if (code is not null)
        {
            error["code"] = code;
            error["doc_url"] = $"https://stripe.com/docs/error-codes/{code.Replace('_', '-')}";
        }

        error["message"] = Message;
        if (parameter is not null)
            error["param"] = parameter;
        error["request_log_url"] = $"https://dashboard.stripe.com/test/logs/{requestId}";
        return new JsonObject { ["error"] = error };
    }
}
