// A service of the platform that exports data, and asks Pulse who may. It is not part of Pulse.sln: it builds against the package, as
// any other service would.  dotnet pack src/Pulse.Entitlements -c Release -o /tmp/feed
//                           dotnet run --project docs/samples/Entitlements.Sample --source /tmp/feed
using Pulse.Entitlements;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddPulseEntitlements(options =>
{
    // A role that may select from pulse.entitlements_v1, and nothing else.
    options.ConnectionString = builder.Configuration.GetConnectionString("Pulse") ?? "Host=localhost;Database=pulse;Username=exports_service";
    // What holds for an hour when this service starts and Pulse's database can't be reached: as the trial plan of the plans file.
    options.TrialCapabilities = ["export"];
    options.TrialLimits = new Dictionary<string, long> { ["exports_per_day"] = 10 };
});

var app = builder.Build();

app.MapPost("/orgs/{orgId:guid}/exports", async (Guid orgId, int exportsToday, EntitlementReader entitlements, CancellationToken cancellationToken) =>
{
    var verdict = await entitlements.CheckAsync(orgId, "export", cancellationToken);
    if (!verdict.Allowed)
    {
        return verdict.Reason switch
        {
            DenialReason.OrgNotFound => Results.NotFound(),
            DenialReason.SubscriptionRequired or DenialReason.CapabilityMissing => Results.Problem("Exports are part of a larger plan.", statusCode: StatusCodes.Status402PaymentRequired),
            _ => Results.Problem(verdict.Reason, statusCode: StatusCodes.Status403Forbidden),
        };
    }

    var limit = await entitlements.LimitAsync(orgId, "exports_per_day", exportsToday, cancellationToken);
    return limit.Level switch
    {
        LimitLevel.Hard => Results.Problem($"{limit.Limit} exports a day are in your plan.", statusCode: StatusCodes.Status429TooManyRequests),
        LimitLevel.Soft => Results.Accepted(value: new { warning = $"{exportsToday} of {limit.Limit} exports of today are used." }),
        _ => Results.Accepted(),
    };
});

// For people, and for finding out why.
app.MapGet("/orgs/{orgId:guid}/entitlements", async (Guid orgId, EntitlementReader entitlements, CancellationToken cancellationToken) =>
    await entitlements.GetAsync(orgId, cancellationToken) is { } state ? Results.Ok(state) : Results.NotFound());

app.Run();
