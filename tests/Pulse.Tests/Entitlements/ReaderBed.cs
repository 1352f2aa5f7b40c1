using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;
using Pulse.Entitlements;
using Pulse.Hosting;

namespace Pulse.Tests.Entitlements;

/// <summary>A service that uses the library: its own pool, by way of a network that can be disturbed, and a clock of its own.</summary>
sealed class ReaderBed : IAsyncDisposable
{
    readonly ServiceProvider _provider;
    readonly List<IHostedService> _hosted;

    ReaderBed(ServiceProvider provider, FaultProxy proxy)
    {
        (_provider, Proxy) = (provider, proxy);
        _hosted = [.. provider.GetServices<IHostedService>()];
        Reader = provider.GetRequiredService<EntitlementReader>();
    }

    public FaultProxy Proxy { get; }
    public EntitlementReader Reader { get; }

    /// <param name="push">Whether it hears of changes.</param>
    public static async Task<ReaderBed> StartAsync(TestPostgres postgres, TimeProvider clock, bool push = false, Action<EntitlementOptions>? configure = null)
    {
        var address = PostgresAddress.Parse(postgres.IngressAddress);
        var proxy = new FaultProxy(address.Host!, address.Port);
        (address.Host, address.Port, address.ApplicationName) = ("127.0.0.1", proxy.Port, "entitlements-under-test");
        var provider = new ServiceCollection()
            .AddSingleton(clock)
            .AddPulseEntitlements(options =>
            {
                options.ConnectionString = address.ConnectionString;
                options.TrialCapabilities = ["trial-api"];
                options.TrialLimits = new Dictionary<string, long> { ["seats"] = 3 };
                options.Retry = TimeSpan.FromMilliseconds(50);
                options.Heartbeat = TimeSpan.FromMilliseconds(200);
                configure?.Invoke(options);
            })
            .BuildServiceProvider();
        var bed = new ReaderBed(provider, proxy);
        if (push)
        {
            foreach (var hosted in bed._hosted)
                await hosted.StartAsync(CancellationToken.None);
        }

        return bed;
    }

    /// <summary>Waits until the store's announcements are heard, for the first time or once more.</summary>
    public Task ListeningAsync(int after = 0) => Eventually.Until(() => Reader.Generation > after, TimeSpan.FromSeconds(15), "the reader listens");

    public Task<Verdict> CheckAsync(Guid orgId, string capability = "api") => Reader.CheckAsync(orgId, capability).AsTask();

    public async ValueTask DisposeAsync()
    {
        foreach (var hosted in _hosted)
            await hosted.StopAsync(CancellationToken.None);
        await _provider.DisposeAsync();
        await Proxy.DisposeAsync();
    }
}

/// <summary>Organizations as the worker would leave them: the library reads a view, and what fills it is another part's matter.</summary>
static class Orgs
{
    const string InsertSql = """
        with org as (
            insert into pulse.organizations (org_id, name, status, created_at) values ($1, 'Acme', 'active', $2))
        insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, updated_at, timeline, verified_at)
        values ($1, 'trial', 'trial', null, $2, $3::jsonb, $2)
        """;

    public static async Task<Guid> OrgAsync(this TestPostgres postgres, DateTimeOffset now, params (TimeSpan From, string State, string[] Capabilities)[] segments)
    {
        var orgId = Guid.CreateVersion7();
        await postgres.RunAsync(InsertSql, orgId, now.UtcDateTime, Timeline(now, segments));
        return orgId;
    }

    const string ChangeSql = "update pulse.billing_states set timeline = $3::jsonb, version = version + 1, verified_at = $2 where org_id = $1";

    public static Task ChangeAsync(this TestPostgres postgres, Guid orgId, DateTimeOffset now, params (TimeSpan From, string State, string[] Capabilities)[] segments) =>
        postgres.RunAsync(ChangeSql, orgId, now.UtcDateTime, Timeline(now, segments));

    public static async Task RunAsync(this TestPostgres postgres, string sql, params object[] parameters)
    {
        await using var command = postgres.Worker.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        await command.ExecuteNonQueryAsync();
    }

    static string Timeline(DateTimeOffset now, (TimeSpan From, string State, string[] Capabilities)[] segments) =>
        System.Text.Json.JsonSerializer.Serialize(segments.Select(segment => new
        {
            from = now + segment.From,
            state = segment.State,
            plan_version = "pro@1",
            capabilities = segment.Capabilities,
            limits = new { seats = 10 },
            meters_enabled = new[] { "calls" },
            source = "stripe",
        }));
}
