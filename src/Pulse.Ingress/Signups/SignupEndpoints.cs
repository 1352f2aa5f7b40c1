using System.Globalization;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Hosting;
using Pulse.Ingress.Http;

namespace Pulse.Ingress.Signups;

/// <summary>The public's two endpoints.</summary>
static class SignupEndpoints
{
    public const string Path = "/api/public/signup";
    public const int BodyMost = 64 * 1024;
    public const string KeyHeader = "Idempotency-Key";

    public static void AddSignups(this IServiceCollection services, Settings settings)
    {
        var hashing = PasswordHashingOptions.Read(settings);
        services.AddSingleton(_ => new PasswordHashing(hashing));
        services.AddSingleton<SignupMetrics>();
        services.AddSingleton<SignupIntake>();
        services.ConfigureHttpJsonOptions(json =>
        {
            json.SerializerOptions.TypeInfoResolverChain.Insert(0, SignupJson.Default);
            json.SerializerOptions.PropertyNamingPolicy = SignupJson.Default.Options.PropertyNamingPolicy;
            json.SerializerOptions.DefaultIgnoreCondition = SignupJson.Default.Options.DefaultIgnoreCondition;
        });
    }

    public static void MapSignups(this IEndpointRouteBuilder routes)
    {
        // Made now, so that its series is there from the start.
        routes.ServiceProvider.GetRequiredService<SignupMetrics>();
        routes.MapPost(Path, RequestAsync).DescribeRequest();
        routes.MapGet(Path + "/{signup_id}", StatusAsync).DescribeStatus();
    }

    static async Task<Results<Accepted<SignupAccepted>, ProblemHttpResult>> RequestAsync(HttpContext context, SignupIntake intake, CancellationToken cancellationToken)
    {
        if (!context.Request.HasJsonContentType())
            return Problem.InvalidRequest("The body must be JSON, and Content-Type say so: application/json.").On(context);
        if (await LimitedBody.ReadAsync(context.Request, BodyMost, cancellationToken) is not { } body)
            return Problem.PayloadTooLarge(BodyMost).On(context);
        if (SignupRules.Parse(body) is not { } request)
            return Problem.InvalidRequest("The body must be a JSON object with the texts email, org_name and, if wanted, password, each at most once.").On(context);
        if (SignupRules.Validate(request, out var errors) is not { } signup)
            return Invalid(errors).On(context);

        KeyedBody? keyed = null;
        if (context.Request.Headers.TryGetValue(KeyHeader, out var header))
        {
            if (IdempotencyKey.Parse(header is [var only] ? only : null) is not { } key)
                return Problem.InvalidRequest($"{KeyHeader} must be one value of 1 to 255 visible ASCII characters.").On(context);

            keyed = new KeyedBody(key, key.Fingerprint(request));
        }

        var outcome = await intake.TakeAsync(signup, keyed, ClientAddress.ForLimits(context.Connection.RemoteIpAddress), cancellationToken);
        return Answer(outcome, context);
    }

    static async Task<Results<Ok<SignupStatus>, ProblemHttpResult>> StatusAsync(
        HttpContext context, string signup_id, NpgsqlDataSource dataSource, CancellationToken cancellationToken) =>
        Guid.TryParseExact(signup_id, "D", out var id) && await SignupTable.StatusAsync(dataSource, id, cancellationToken) is { } status
            ? TypedResults.Ok(status)
            : Problem.NotFound().On(context);

    static Results<Accepted<SignupAccepted>, ProblemHttpResult> Answer(SignupOutcome outcome, HttpContext context)
    {
        switch (outcome)
        {
            case SignupOutcome.Accepted(var id, var client):
                client.WriteTo(context.Response.Headers);
                return Accepted(id, context);

            case SignupOutcome.Repeated(var id):
                return Accepted(id, context);

            case SignupOutcome.RateLimited(var client):
                client.WriteTo(context.Response.Headers);
                return new Problem(StatusCodes.Status429TooManyRequests, "rate_limited", "Too many signups", "Too many signups came from this address.")
                {
                    RetryAfter = client.Reset,
                }.On(context);

            case SignupOutcome.KeyReused:
                return new Problem(StatusCodes.Status422UnprocessableEntity, "idempotency_key_reused", "The key was used before",
                    $"This {KeyHeader} was used for another body. A new request needs a new key.").On(context);

            case SignupOutcome.InFlight:
                return new Problem(StatusCodes.Status409Conflict, "request_in_flight", "The same request is in flight",
                    $"A request with this {KeyHeader} is being answered. Ask again for its answer.")
                {
                    RetryAfter = TimeSpan.FromSeconds(1),
                }.On(context);

            default:
                return Problem.Unavailable().On(context);
        }
    }

    static Accepted<SignupAccepted> Accepted(Guid signupId, HttpContext context)
    {
        context.Response.Headers.RetryAfter = 1.ToString(CultureInfo.InvariantCulture);
        var accepted = SignupAccepted.Of(signupId);
        return TypedResults.Accepted(accepted.StatusUrl, accepted);
    }

    static Problem Invalid(OrderedDictionary<string, string[]> errors) =>
        new(StatusCodes.Status400BadRequest, SignupRules.Code(errors), "The signup is not valid", string.Join(' ', errors.Values.SelectMany(messages => messages)))
        {
            Errors = errors,
        };
}
