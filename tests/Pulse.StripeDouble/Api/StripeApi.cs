using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Pulse.StripeDouble.State;

namespace Pulse.StripeDouble.Api;

/// <summary>What every request to <c>/v1</c> goes through: key, version, faults, idempotency, one moment of the account.</summary>
sealed class StripeApi(IEndpointRouteBuilder routes, Account account, ApiFaults faults, Requests requests, StripeOptions options)
{
    readonly ConcurrentDictionary<string, Remembered> _remembered = new();

    /// <summary>Everything there is. The second argument lists the parameters that are known.</summary>
    public void MapAll()
    {
        this.MapCustomers();
        this.MapSubscriptions();
        this.MapInvoices();
        this.MapCheckout();
        this.MapTheRest();
        routes.MapFallback("/v1/{**path}", context => AnswerAsync(context, "/v1/…", null, call =>
            throw new StripeException(404, "invalid_request_error", $"Unrecognized request URL ({context.Request.Method}: {call.Path}).")));
    }

    public void Get(string path, string parameters, Func<ApiCall, JsonObject> handle) => Map("GET", path, parameters, handle);

    public void Post(string path, string parameters, Func<ApiCall, JsonObject> handle) => Map("POST", path, parameters, handle);

    public void Delete(string path, string parameters, Func<ApiCall, JsonObject> handle) => Map("DELETE", path, parameters, handle);

    void Map(string method, string path, string parameters, Func<ApiCall, JsonObject> handle) =>
        routes.MapMethods(path, [method], context => AnswerAsync(context, path, parameters, handle));

    async Task AnswerAsync(HttpContext context, string path, string? known, Func<ApiCall, JsonObject> handle)
    {
        var (request, response) = (context.Request, context.Response);
        var route = $"{request.Method} {path}";
        var inThisSecond = requests.Note(route);
        var fault = faults.PerSecond > 0 && inThisSecond > faults.PerSecond ? new Fault(FaultKind.RateLimit) : faults.Befall(route);

        var requestId = Account.NewRequestId();
        var version = request.Headers["Stripe-Version"].FirstOrDefault() is { Length: > 0 } asked ? asked : account.ApiVersion;
        response.Headers["Request-Id"] = requestId;
        response.Headers["Stripe-Version"] = version;
        response.ContentType = "application/json";

        var pause = faults.Pause();
        if (faults.ReadsAt == ReadsAt.Answer && pause > TimeSpan.Zero)
            await Task.Delay(pause, context.RequestAborted);

        Answer answer;
        try
        {
            Authorize(request);
            Refuse(fault, response);
            var parameters = await Parameters.ReadAsync(request);
            if (known is not null)
                parameters.Allow(known);
            answer = Once(request, parameters, () => Carry(context, parameters, requestId, version, handle), response);
        }
        catch (StripeException exception)
        {
            answer = new Answer(exception.Status, JsonSerializer.SerializeToUtf8Bytes(exception.ToJson(requestId)));
        }

        if (faults.ReadsAt == ReadsAt.Arrival && pause > TimeSpan.Zero)
            await Task.Delay(pause, context.RequestAborted);

        switch (fault?.Kind)
        {
            case FaultKind.Hang:
                await Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
                return;
            case FaultKind.Reset:
                Reset(context);
                return;
        }

        response.StatusCode = answer.Status;
        response.ContentLength = answer.Body.Length;
        await response.Body.WriteAsync(answer.Body, context.RequestAborted);
    }

    Answer Carry(HttpContext context, Parameters parameters, string requestId, string version, Func<ApiCall, JsonObject> handle)
    {
        var request = context.Request;
        var basil = options.Generation switch
        {
            ApiGeneration.Older => false,
            ApiGeneration.Basil => true,
            _ => View.IsBasil(version),
        };
        var call = new ApiCall(account, request.Path, parameters, new View(account, basil), name => request.RouteValues[name] as string);
        try
        {
            return new Answer(200, account.Do(() => JsonSerializer.SerializeToUtf8Bytes(handle(call)), new Cause(requestId, request.Headers["Idempotency-Key"].FirstOrDefault())));
        }
        // From here on it has been carried out, and its outcome is remembered.
        catch (StripeException exception) when (exception.Status != 400)
        {
            return new Answer(exception.Status, JsonSerializer.SerializeToUtf8Bytes(exception.ToJson(requestId)));
        }
    }

    /// <summary>A POST with a key that was used is not carried out again: its first answer is given.</summary>
    Answer Once(HttpRequest request, Parameters parameters, Func<Answer> carry, HttpResponse response)
    {
        if (request.Method != "POST" || request.Headers["Idempotency-Key"].FirstOrDefault() is not { Length: > 0 } key)
            return carry();

        var fingerprint = $"{request.Path}?{parameters.Fingerprint}";
        var remembered = _remembered.GetOrAdd(key, _ => new Remembered(fingerprint));
        lock (remembered)
        {
            if (remembered.Fingerprint != fingerprint)
            {
                throw new StripeException(400, "idempotency_error",
                    $"Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request.");
            }

            if (remembered.Answer is { } first)
            {
                response.Headers["Idempotent-Replayed"] = "true";
                return first;
            }

            try
            {
                return remembered.Answer = carry();
            }
            finally
            {
                if (remembered.Answer is null)
                    _remembered.TryRemove(key, out _);
            }
        }
    }

    void Authorize(HttpRequest request)
    {
        var key = (AuthenticationHeaderValue.TryParse(request.Headers.Authorization, out var header) ? header : null) switch
        {
            { Scheme: "Bearer", Parameter: { } bearer } => bearer,
            { Scheme: "Basic", Parameter: { } basic } => FromBasic(basic),
            _ => null,
        };
        if (key is null)
            throw new StripeException(401, "invalid_request_error", "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth.");
        if (key != options.ApiKey)
            throw new StripeException(401, "invalid_request_error", $"Invalid API Key provided: {key[..Math.Min(key.Length, 8)]}****");

        static string? FromBasic(string text)
        {
            var bytes = new byte[text.Length];
            return Convert.TryFromBase64String(text, bytes, out var length) ? Encoding.UTF8.GetString(bytes, 0, length).Split(':')[0] : null;
        }
    }

    static void Refuse(Fault? fault, HttpResponse response)
    {
        switch (fault)
        {
            case { Kind: FaultKind.RateLimit }:
                if (fault.RetryAfter is { } seconds)
                    response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
                response.Headers["Stripe-Rate-Limited-Reason"] = "endpoint-rate";
                response.Headers["Stripe-Should-Retry"] = "true";
                throw new StripeException(429, "invalid_request_error", "Request rate limit exceeded.", "rate_limit");
            case { Kind: FaultKind.Error }:
                throw new StripeException(fault.Status, "api_error", "An unknown error occurred.");
        }
    }

    // A reset, not an end: the client reads no half answer.
    static void Reset(HttpContext context)
    {
        if (context.Features.Get<IConnectionSocketFeature>() is { } connection)
        {
            connection.Socket.LingerState = new System.Net.Sockets.LingerOption(true, 0);
            connection.Socket.Close();
        }

        context.Abort();
    }

    sealed record Answer(int Status, byte[] Body);

    sealed class Remembered(string fingerprint)
    {
        public string Fingerprint => fingerprint;
        public Answer? Answer { get; set; }
    }
}
