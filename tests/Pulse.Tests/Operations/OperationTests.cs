using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Operations;
using Pulse.Tests.Admin;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Operations;

public sealed class OperationTests(TestPostgres postgres) : AdminTests(postgres)
{
    const string Pin = """{"subscription_state":"active"}""";

    string _key = "";
    Guid _org;

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _key = await Postgres.KeyAsync(Scopes.BillingWrite, Scopes.BillingRead);
        _org = await TenantAsync();
    }

    string Path => $"/api/admin/orgs/{_org}/billing-state";

    [Fact]
    public async Task A_command_is_a_row_and_a_message_of_one_transaction_and_the_message_carries_ids_only()
    {
        var answer = SendAsync("PUT", Path, _key, """{"subscription_state":"active","reason":"they called"}""");
        var operation = await PendingAsync(_org);

        Assert.Equal($"key:{_key.Split('_')[1]}", await Postgres.AskAsync<string>("select actor from pulse.operations where operation_id = $1", operation));
        Assert.Equal("""{"state": {"subscription_state": "active"}, "effect": "pin", "reason": "they called"}""",
            await Postgres.AskAsync<string>("select request::text from pulse.operations where operation_id = $1", operation));
        var body = await Postgres.AskAsync<string>(
            "select convert_from(body, 'utf8') from messaging.outbox where exchange = 'Pulse.Contracts.Billing:SetBillingState' and convert_from(body, 'utf8') like '%' || $1 || '%'", operation.ToString());
        Assert.DoesNotContain("they called", body, StringComparison.Ordinal);

        await SucceedAsync(operation, Result());
        Assert.Equal(200, (int)(await answer).StatusCode);
    }

    [Fact]
    public async Task The_result_comes_as_soon_as_the_worker_has_it()
    {
        var answer = SendAsync("PUT", Path, _key, Pin);
        var operation = await PendingAsync(_org);
        var since = Stopwatch.StartNew();
        await SucceedAsync(operation, Result(version: 7));

        var result = await answer;
        Assert.InRange(since.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(0.9));
        Assert.Equal((200, "\"7\""), ((int)result.StatusCode, result.Header("ETag")));
        Assert.Equal("override", (await result.Json()).GetProperty("source").GetString());
    }

    [Fact]
    public async Task A_refusal_of_the_worker_is_the_answer()
    {
        var answer = SendAsync("PUT", Path, _key, Pin, ("If-Match", "\"1\""));
        await RefuseAsync(await PendingAsync(_org), 412, "precondition_failed", "It is at version 4.");

        Assert.Equal("It is at version 4.", (await (await answer).IsProblem(412, "precondition_failed")).GetProperty("detail").GetString());
    }

    [Fact]
    public async Task Without_a_worker_it_is_202_with_an_address_that_tells_the_end_when_there_is_one()
    {
        var since = Stopwatch.StartNew();
        var accepted = await SendAsync("PUT", Path, _key, Pin);

        Assert.InRange(since.Elapsed, TimeSpan.FromSeconds(4.5), TimeSpan.FromSeconds(8));
        Assert.Equal((202, "1"), ((int)accepted.StatusCode, accepted.Header("Retry-After")));
        var operation = (await accepted.Json()).GetProperty("operation_id").GetGuid();
        var address = accepted.Headers.Location!.ToString();
        Assert.Equal($"/api/admin/operations/{operation}", address);

        var pending = await SendAsync("GET", address, _key);
        Assert.Equal(("pending", "1"), ((await pending.Json()).GetProperty("status").GetString(), pending.Header("Retry-After")));

        await SucceedAsync(operation, Result(version: 3));
        var done = await (await SendAsync("GET", address, _key)).Json();
        Assert.Equal(("succeeded", 3), (done.GetProperty("status").GetString(), done.GetProperty("result").GetProperty("version").GetInt32()));
        Assert.Equal(("billing.set", _org.ToString()), (done.GetProperty("kind").GetString(), done.GetProperty("org_id").GetString()));
        // Who repeats it afterwards gets the answer itself: see below.
    }

    [Fact]
    public async Task A_refused_operation_tells_its_problem()
    {
        var answer = SendAsync("DELETE", Path + "/override", _key);
        var operation = await PendingAsync(_org);
        await RefuseAsync(operation, 404, "not_found", "It is gone.");
        await (await answer).IsProblem(404, "not_found");

        var status = await (await SendAsync("GET", $"/api/admin/operations/{operation}", _key)).Json();
        Assert.Equal(("refused", "not_found"), (status.GetProperty("status").GetString(), status.GetProperty("problem").GetProperty("code").GetString()));
    }

    [Fact]
    public async Task An_operation_is_shown_to_who_has_the_scope_of_its_command()
    {
        var answer = SendAsync("PUT", Path, _key, Pin);
        var operation = await PendingAsync(_org);
        await SucceedAsync(operation, Result());
        await answer;

        await (await SendAsync("GET", $"/api/admin/operations/{operation}", null)).IsProblem(401, "unauthorized");
        var refused = await (await SendAsync("GET", $"/api/admin/operations/{operation}", await Postgres.KeyAsync(Scopes.OrgsRead))).IsProblem(403, "insufficient_scope");
        Assert.Contains("billing:write", refused.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal(200, (int)(await SendAsync("GET", $"/api/admin/operations/{operation}", await Postgres.KeyAsync(Scopes.BillingWrite))).StatusCode);
        foreach (var id in (string[])[Unknown, "nonsense", $"{operation}0"])
            await (await SendAsync("GET", $"/api/admin/operations/{id}", _key)).IsProblem(404, "not_found");
    }

    [Fact]
    public async Task The_same_Idempotency_Key_and_command_are_the_same_operation()
    {
        var key = Some.Key;
        var first = SendAsync("PUT", Path, _key, Pin, ("Idempotency-Key", key));
        var operation = await PendingAsync(_org);
        // While it is under way, written otherwise.
        var second = SendAsync("PUT", Path, _key, """ { "effect" : "pin", "subscription_state":"active" } """, ("Idempotency-Key", key));
        await SucceedAsync(operation, Result(version: 9));

        Assert.Equal(200, (int)(await first).StatusCode);
        Assert.Equal(200, (int)(await second).StatusCode);
        // And when it is done.
        var third = await SendAsync("PUT", Path, _key, Pin, ("Idempotency-Key", key));
        Assert.Equal((200, "\"9\""), ((int)third.StatusCode, third.Header("ETag")));
        Assert.Equal(1L, await Postgres.AskAsync<long>("select count(*) from pulse.operations where org_id = $1", _org));
        Assert.Equal(1L, await Postgres.AskAsync<long>("select count(*) from messaging.outbox where convert_from(body, 'utf8') like '%' || $1 || '%'", operation.ToString()));
    }

    [Fact]
    public async Task The_same_Idempotency_Key_for_another_command_is_422_and_another_caller_s_is_another_key()
    {
        var key = Some.Key;
        var first = SendAsync("PUT", Path, _key, Pin, ("Idempotency-Key", key));
        await SucceedAsync(await PendingAsync(_org), Result());
        await first;

        var org = await TenantAsync();
        await (await SendAsync("PUT", Path, _key, """{"subscription_state":"trial"}""", ("Idempotency-Key", key))).IsProblem(422, "idempotency_key_reused");
        await (await SendAsync("PUT", Path, _key, Pin, ("Idempotency-Key", key), ("If-Match", "\"2\""))).IsProblem(422, "idempotency_key_reused");
        await (await SendAsync("DELETE", Path + "/override", _key, null, ("Idempotency-Key", key))).IsProblem(422, "idempotency_key_reused");
        await (await SendAsync("PUT", $"/api/admin/orgs/{org}/billing-state", _key, Pin, ("Idempotency-Key", key))).IsProblem(422, "idempotency_key_reused");

        var others = SendAsync("PUT", Path, await Postgres.KeyAsync(Scopes.BillingWrite), Pin, ("Idempotency-Key", key));
        await SucceedAsync(await PendingAsync(_org), Result());
        Assert.Equal(200, (int)(await others).StatusCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData("two words")]
    [InlineData("caf\u00e9")]
    public async Task What_is_no_Idempotency_Key_is_400(string key)
    {
        await (await SendAsync("PUT", Path, _key, Pin, ("Idempotency-Key", key))).IsProblem(400, "invalid_request");
        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations where org_id = $1", _org));
    }

    [Fact]
    public async Task An_end_that_nobody_told_of_is_found_by_asking()
    {
        var answer = SendAsync("PUT", Path, _key, Pin);
        await SucceedAsync(await PendingAsync(_org), Result(), tell: false);

        Assert.Equal(200, (int)(await answer).StatusCode);
    }

    [Fact]
    public async Task An_end_is_heard_of_again_after_every_connection_was_cut()
    {
        await Postgres.CutIngressAsync();
        // One answer may be lost with its connection.
        await Eventually.Until(async () => (int)(await SendAsync("GET", Path, _key)).StatusCode == 200, TimeSpan.FromSeconds(10), "Postgres is asked again");
        // Sooner than by asking once a second.
        await Eventually.Until(
            async () =>
            {
                var answer = SendAsync("PUT", Path, _key, Pin);
                var operation = await PendingAsync(_org);
                var since = Stopwatch.StartNew();
                await SucceedAsync(operation, Result());
                Assert.Equal(200, (int)(await answer).StatusCode);
                return since.Elapsed < TimeSpan.FromSeconds(0.2);
            },
            TimeSpan.FromSeconds(20), "an end is heard of at once");
    }

    [Fact]
    public async Task Waiting_holds_no_connection_of_the_pool()
    {
        await using var ingress = await TestIngress.StartAsync($"{Postgres.IngressAddress}?Maximum Pool Size=2", Clock);
        var orgs = new List<Guid>();
        for (var count = 0; count < 8; count++)
            orgs.Add(await TenantAsync());

        var answers = orgs.ConvertAll(org => SendAsync(ingress, "PUT", $"/api/admin/orgs/{org}/billing-state", _key, System.Text.Encoding.UTF8.GetBytes(Pin)));
        foreach (var org in orgs)
            await SucceedAsync(await PendingAsync(org), Result());

        foreach (var answer in answers)
            Assert.Equal(200, (int)(await answer).StatusCode);
    }

    [Fact]
    public async Task No_more_than_a_bounded_number_waits()
    {
        using var waits = new OperationWaits(Postgres.Ingress, new ListenAddress(Postgres.IngressAddress), Clock, NullLogger<OperationWaits>.Instance);
        var begun = Enumerable.Range(0, OperationWaits.Most).Select(_ => waits.Begin(Guid.NewGuid())).ToList();

        using (var late = waits.Begin(Guid.NewGuid()))
            Assert.Null(await late.EndAsync(TimeSpan.FromMinutes(5), CancellationToken.None));

        begun.ForEach(wait => wait.Dispose());
        using var next = waits.Begin(Guid.NewGuid());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => next.EndAsync(TimeSpan.FromMinutes(5), new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task Postgres_that_is_not_there_is_503()
    {
        using var closed = new TcpListener(IPAddress.Loopback, 0);
        closed.Start();
        var address = $"postgresql://pulse_ingress:x@127.0.0.1:{((IPEndPoint)closed.LocalEndpoint).Port}/pulse";
        closed.Stop();
        await using var ingress = await TestIngress.StartAsync(address, Clock);

        foreach (var (method, path) in ((string, string)[])[("GET", "/api/admin/orgs"), ("GET", Path), ("PUT", Path), ("DELETE", Path + "/override"), ("GET", $"/api/admin/operations/{Unknown}")])
        {
            var answer = await SendAsync(ingress, method, path, _key, method == "PUT" ? System.Text.Encoding.UTF8.GetBytes(Pin) : null);
            await answer.IsProblem(503, "unavailable");
            Assert.Equal("5", answer.Header("Retry-After"));
        }
    }
}
