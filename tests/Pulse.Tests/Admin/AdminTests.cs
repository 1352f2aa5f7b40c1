using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Admin;

/// <summary>An ingress that operators talk to. Tenants are signed up through it; the worker's part is done by hand, there is no broker.</summary>
public abstract class AdminTests(TestPostgres postgres) : IngressTests(postgres)
{
    protected const string Unknown = "01900000-0000-7000-8000-000000000000";

    /// <summary>One request.</summary>
    protected Task<HttpResponseMessage> SendAsync(string method, string path, string? key, string? json = null, params (string Name, string Value)[] headers) =>
        SendAsync(Ingress, method, path, key, json is null ? null : Encoding.UTF8.GetBytes(json), headers);

    protected static async Task<HttpResponseMessage> SendAsync(
        TestIngress ingress, string method, string path, string? key, byte[]? body = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        if (key is not null)
            request.Headers.TryAddWithoutValidation("Authorization", $"Bearer {key}");
        foreach (var (name, value) in headers)
            request.Headers.TryAddWithoutValidation(name, value);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        }

        return await ingress.Http.SendAsync(request);
    }

    /// <summary>A new tenant on trial.</summary>
    protected async Task<Guid> TenantAsync(SignupBody? signup = null) =>
        await Postgres.ProvisionAsync(await (await Ingress.SignupAsync(signup ?? Some.Signup)).SignupId(), Clock);

    /// <summary>Gives a tenant's billing a timeline, as a sync does.</summary>
    protected Task TimelineAsync(Guid org, object[] segments) => Postgres.RunAsync(
        "update pulse.billing_states set timeline = $2::text::jsonb, version = version + 1 where org_id = $1", org, JsonSerializer.Serialize(segments));

    /// <summary>Waits for the one operation on an organization that is pending.</summary>
    protected async Task<Guid> PendingAsync(Guid org)
    {
        const string sql = "select coalesce((select operation_id from pulse.operations where org_id = $1 and status = 'pending'), '00000000-0000-0000-0000-000000000000')";
        await Eventually.Until(async () => await Postgres.AskAsync<Guid>(sql, org) != Guid.Empty, TimeSpan.FromSeconds(10), "an operation is pending");
        return await Postgres.AskAsync<Guid>(sql, org);
    }

    /// <summary>The worker's part of an operation that succeeds.</summary>
    protected Task SucceedAsync(Guid operation, string result, bool tell = true) => Postgres.RunAsync($"""
        with done as (
            update pulse.operations set status = 'succeeded', result = $2::text::jsonb, completed_at = $3 where operation_id = $1 returning operation_id)
        select {(tell ? "pg_notify('pulse_operations', operation_id::text)" : "1")} from done
        """, operation, result, Clock.GetUtcNow().UtcDateTime);

    /// <summary>The worker's part of one that is refused.</summary>
    protected Task RefuseAsync(Guid operation, int status, string code, string detail) => Postgres.RunAsync("""
        with done as (
            update pulse.operations set status = 'refused', problem_status = $2, problem_code = $3, problem_detail = $4, completed_at = $5
            where operation_id = $1 returning operation_id)
        select pg_notify('pulse_operations', operation_id::text) from done
        """, operation, status, code, detail, Clock.GetUtcNow().UtcDateTime);

    /// <summary>A billing state as the worker tells it.</summary>
    protected static string Result(long version = 2, string state = "active", string source = "override") =>
        $$"""{"capabilities":["api"],"limits":{"seats":5},"meters_enabled":[],"plan_version":"pro","subscription_state":"{{state}}","source":"{{source}}","version":{{version}},"override_id":"0190a000-0000-7000-8000-000000000000"}""";
}
