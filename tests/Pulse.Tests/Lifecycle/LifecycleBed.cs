using Microsoft.Extensions.Logging.Abstractions;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging.Outbox;
using Pulse.Tests.Billing;
using Pulse.Worker.Lifecycle;

namespace Pulse.Tests.Lifecycle;

/// <summary>The lifecycle's own code on a real Postgres, with a double of Stripe. What the broker would bring, a test brings by hand.</summary>
public sealed class LifecycleBed : IAsyncLifetime
{
    readonly SyncBed _billing = new();
    readonly string _exports = Directory.CreateTempSubdirectory("pulse-exports-").FullName;

    public SyncBed Billing => _billing;
    public TestPostgres Postgres => _billing.Postgres;
    public TestClock Clock => _billing.Clock;
    public string Exports => _exports;

    /// <summary>Exports are there, and the breaker lets everything pass: tests about it say otherwise.</summary>
    internal ReaperOptions Options => new() { ExportDirectory = _exports, Most = 10_000, Share = 1 };

    public Task InitializeAsync() => _billing.InitializeAsync();

    public async Task DisposeAsync()
    {
        Directory.Delete(_exports, recursive: true);
        await _billing.DisposeAsync();
    }

    /// <summary>A worker, as far as lifecycles go.</summary>
    internal LifecycleWorker Worker(ReaperOptions? options = null, TimeProvider? clock = null) => new(this, options ?? Options, clock ?? Clock);

    const string SignupSql = """
        insert into pulse.signups (signup_id, email, email_normalized, org_name, status, accepted_at, updated_at) values ($1, $2, lower($2), 'Org', 'accepted', $3, $3)
        """;

    /// <summary>A tenant, provisioned as the saga does it.</summary>
    public async Task<Guid> TenantAsync(string? email = null)
    {
        var signup = Guid.CreateVersion7(Clock.GetUtcNow());
        await Postgres.RunAsync(SignupSql, signup, email ?? Some.Email, Clock.GetUtcNow().UtcDateTime);
        return await Postgres.ProvisionAsync(signup, Clock);
    }

    const string AskSql = "insert into pulse.operations (operation_id, kind, org_id, request, actor, requested_at) values ($1, $2, $3, $4::text::jsonb, 'key:test', $5)";

    /// <summary>What ingress does with an operator's command.</summary>
    /// <returns>The operation.</returns>
    public async Task<Guid> AskAsync(string verb, Guid org, string request = "{}")
    {
        var now = Clock.GetUtcNow();
        var operation = Guid.CreateVersion7(now);
        await Postgres.RunAsync(AskSql, operation, "lifecycle." + verb, org, request, now.UtcDateTime);
        object command = verb switch
        {
            "suspend" => new SuspendOrganization { OperationId = operation, OrgId = org, AcceptedAt = now },
            "unsuspend" => new UnsuspendOrganization { OperationId = operation, OrgId = org, AcceptedAt = now },
            "soft-delete" => new SoftDeleteOrganization { OperationId = operation, OrgId = org, AcceptedAt = now },
            "restore" => new RestoreOrganization { OperationId = operation, OrgId = org, AcceptedAt = now },
            "hold" => new PlaceLegalHold { OperationId = operation, OrgId = org, AcceptedAt = now },
            "release" => new ReleaseLegalHold { OperationId = operation, OrgId = org, AcceptedAt = now },
            _ => new ConfirmPurges { OperationId = operation },
        };
        await PublishAsync((dynamic)command);
        return operation;
    }

    /// <summary>A message, as a process without a broker connection publishes it.</summary>
    public async Task PublishAsync<T>(T message)
        where T : class
    {
        await using var batch = _billing.Data.CreateBatch();
        batch.BatchCommands.Add(Publisher().Publish(message));
        await batch.ExecuteNonQueryAsync();
    }

    internal OutboxPublisher Publisher(TimeProvider? clock = null) => new(clock ?? Clock, new OutboxBell(_billing.Data, NullLogger<OutboxBell>.Instance));

    /// <summary>An operation's end: <c>succeeded</c>, a problem's code, or <c>pending</c>; null when it is gone with its organization.</summary>
    public Task<string?> EndAsync(Guid operation) => _billing.AskAsync<string>(
        "select coalesce(problem_code, status) from pulse.operations where operation_id = $1", operation);

    /// <summary>Where an organization is in its life: its status, or purging or purged; null when it never was.</summary>
    public Task<string?> StatusAsync(Guid org) => _billing.AskAsync<string>("""
        select coalesce(
            (select case when purge_started_at is not null then 'purging' else status end from pulse.organizations where org_id = $1),
            (select 'purging' from pulse.purges where org_id = $1),
            (select 'purged' from pulse.tombstones where org_id = $1))
        """, org);

    /// <summary>What the audit log has of an organization's life, in its order.</summary>
    public async Task<string[]> AuditAsync(Guid org) => await _billing.AskAsync<string[]>(
        "select coalesce(array_agg(action order by seq), '{}') from pulse.audit_log where org_id = $1 and action not like 'billing_%'", org) ?? [];

    /// <summary>Deletes an organization and brings it to the end of its purge.</summary>
    internal async Task PurgeAsync(LifecycleWorker worker, Guid org, string request = """{"retention_days":1}""")
    {
        await AskAsync("soft-delete", org, request);
        await worker.DrainAsync();
        Clock.Advance(TimeSpan.FromDays(1));
        await worker.DrainAsync();
    }
}
