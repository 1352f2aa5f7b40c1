using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Npgsql;
using Pulse.Hosting;
using Pulse.Ingress;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Stripe;

public sealed class WebhookTests(TestPostgres postgres) : IngressTests(postgres)
{
    TestIngress? _webhooks;

    TestIngress Webhooks => _webhooks!;

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _webhooks = await StartAsync($"PULSE_STRIPE_WEBHOOK_SECRET={Delivery.Secret},whsec_second");
    }

    public override async Task DisposeAsync()
    {
        await (_webhooks?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    [Fact]
    public async Task A_signed_event_is_stored_with_its_message_and_answered_200()
    {
        var delivery = new Delivery();

        await IsReceived(await delivery.SendAsync(Webhooks, Clock), "accepted");

        Assert.Equal(delivery.Body, await Postgres.AskAsync<byte[]>("select body from pulse.stripe_events where event_id = $1", delivery.Id));
        Assert.Equal("customer.subscription.updated 2025-03-31.basil received", await Postgres.AskAsync<string>(
            "select concat_ws(' ', type, api_version, status) from pulse.stripe_events where event_id = $1 and not livemode and effect_id = event_id and created_at = to_timestamp(1760000000)", delivery.Id));
        Assert.Equal(1, await MessagesAsync(delivery.Id));
        Assert.Equal("Pulse.Contracts.Billing:StripeEventReceived", await Postgres.AskAsync<string>(
            "select exchange from messaging.outbox where convert_from(body, 'UTF8') like '%' || $1 || '%'", delivery.Id));
    }

    [Theory]
    [InlineData("received", true)]
    [InlineData("pending", true)]
    [InlineData("parked", true)]
    [InlineData("quarantined", true)]
    [InlineData("applied", false)]
    [InlineData("ignored", false)]
    public async Task A_repeat_is_a_duplicate_and_dispatched_again_unless_it_is_completed(string status, bool again)
    {
        var delivery = new Delivery();
        await IsReceived(await delivery.SendAsync(Webhooks, Clock), "accepted");
        await using (var command = Postgres.Worker.CreateCommand("update pulse.stripe_events set status = $2 where event_id = $1"))
        {
            command.Parameters.AddWithValue(delivery.Id);
            command.Parameters.AddWithValue(status);
            await command.ExecuteNonQueryAsync();
        }

        await IsReceived(await delivery.SendAsync(Webhooks, Clock), "duplicate");

        Assert.Equal(again ? 2 : 1, await MessagesAsync(delivery.Id));
        Assert.Equal(1L, await Postgres.AskAsync<long>("select count(*) from pulse.stripe_events where event_id = $1", delivery.Id));
    }

    [Fact]
    public async Task A_hundred_deliveries_at_once_of_ten_events_are_ten_rows()
    {
        var deliveries = Enumerable.Range(0, 10).Select(_ => new Delivery()).ToList();

        // Two replicas, as they would race.
        await using var other = await StartAsync($"PULSE_STRIPE_WEBHOOK_SECRET={Delivery.Secret}");
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(async i => (i % 10, await deliveries[i % 10].SendAsync(i / 10 % 2 == 0 ? Webhooks : other, Clock))));

        foreach (var group in answers.GroupBy(answer => answer.Item1, answer => answer.Item2))
        {
            var statuses = await Task.WhenAll(group.Select(async answer => (await answer.Json()).GetProperty("status").GetString()));
            Assert.Equal(1, statuses.Count(status => status == "accepted"));
            Assert.Equal(9, statuses.Count(status => status == "duplicate"));
            Assert.InRange(await MessagesAsync(deliveries[group.Key].Id), 1, 10);
        }
    }

    [Fact]
    public async Task A_thin_event_is_stored_under_the_effect_of_its_snapshot_event()
    {
        var delivery = new Delivery { Id = $"evt_thin_{Guid.NewGuid():n}" };
        delivery = delivery with { Raw = Encoding.UTF8.GetBytes($$"""{"id":"{{delivery.Id}}","object":"v2.core.event","type":"v1.invoice.paid","created":"2025-10-09T08:53:20.123Z","livemode":true,"snapshot_event":"evt_twin"}""") };

        await IsReceived(await delivery.SendAsync(Webhooks, Clock), "accepted");

        Assert.Equal("evt_twin", await Postgres.AskAsync<string>("select effect_id from pulse.stripe_events where event_id = $1 and livemode", delivery.Id));
    }

    [Fact]
    public async Task Unknown_types_and_wrong_livemode_are_the_worker_s_matter()
    {
        await IsReceived(await new Delivery { Type = "something.from.the.future" }.SendAsync(Webhooks, Clock), "accepted");
        await IsReceived(await new Delivery { Raw = Encoding.UTF8.GetBytes($$"""{"id":"evt_{{Guid.NewGuid():n}}","type":"x","livemode":true}""") }.SendAsync(Webhooks, Clock), "accepted");
    }

    [Fact]
    public async Task Any_of_several_secrets_will_do_while_they_are_exchanged()
    {
        await IsReceived(await new Delivery { SignedWith = "whsec_second" }.SendAsync(Webhooks, Clock), "accepted");
        await (await new Delivery { SignedWith = "whsec_third" }.SendAsync(Webhooks, Clock)).IsProblem(400, "invalid_signature");

        // The old one is gone.
        await using var rotated = await StartAsync("PULSE_STRIPE_WEBHOOK_SECRET=whsec_second");
        await (await new Delivery().SendAsync(rotated, Clock)).IsProblem(400, "invalid_signature");
        await IsReceived(await new Delivery { SignedWith = "whsec_second" }.SendAsync(rotated, Clock), "accepted");
    }

    [Fact]
    public async Task A_signature_that_is_missing_bad_stale_or_doubled_is_400_counted_and_nothing_is_stored()
    {
        var rows = await RowsAsync();
        var delivery = new Delivery();
        var good = delivery.Header(Clock.GetUtcNow());
        (string Reason, Delivery Sent)[] cases =
        [
            ("missing", delivery with { Headers = [] }),
            ("malformed", delivery with { Headers = [good, good] }),
            ("malformed", delivery with { Headers = [good + "," + good] }),
            ("malformed", delivery with { Headers = ["t=1"] }),
            ("mismatch", delivery with { SignedWith = "whsec_of_another" }),
            ("mismatch", delivery with { Headers = [good], Raw = "{\"id\":\"evt_forged\",\"type\":\"ping\"}"u8.ToArray() }),
            ("stale", delivery with { At = Clock.GetUtcNow().AddSeconds(-301) }),
            ("stale", delivery with { At = Clock.GetUtcNow().AddSeconds(301) }),
        ];
        foreach (var (reason, sent) in cases)
        {
            var before = await FailuresAsync(reason);
            await (await sent.SendAsync(Webhooks, Clock)).IsProblem(400, "invalid_signature");
            Assert.Equal(before + 1, await FailuresAsync(reason));
        }

        Assert.Equal(rows, await RowsAsync());
    }

    [Fact]
    public async Task A_signed_body_that_is_no_event_is_400()
    {
        var rows = await RowsAsync();
        foreach (var body in (string[])["", "not json", "[]", "{}", "{\"id\":\"evt_1\"}", "{\"id\":\"evt_1\\u0000\",\"type\":\"ping\"}", "{\"id\":\"evt_1\",\"type\":\"ping\"} and more"])
            await (await new Delivery { Raw = Encoding.UTF8.GetBytes(body) }.SendAsync(Webhooks, Clock)).IsProblem(400, "invalid_request");

        Assert.Equal(rows, await RowsAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_body_may_have_512_KiB_and_not_a_byte_more_whatever_Content_Length_says(bool chunked)
    {
        var body = new Delivery().Body;
        byte[] Padded(int length) => [.. body, .. Enumerable.Repeat((byte)' ', length - body.Length)];

        Assert.Equal(200, (int)(await new Delivery { Raw = Padded(524_288) }.SendAsync(Webhooks, Clock, chunked)).StatusCode);
        await (await new Delivery { Raw = Padded(524_289) }.SendAsync(Webhooks, Clock, chunked)).IsProblem(413, "payload_too_large");
        await (await new Delivery { Raw = Padded(3_000_000) }.SendAsync(Webhooks, Clock, chunked)).IsProblem(413, "payload_too_large");
    }

    [Fact]
    public async Task Postgres_that_is_gone_is_503_with_Retry_After()
    {
        using var closed = new TcpListener(IPAddress.Loopback, 0);
        closed.Start();
        var address = $"postgresql://pulse_ingress:x@127.0.0.1:{((IPEndPoint)closed.LocalEndpoint).Port}/pulse";
        closed.Stop();
        await using var ingress = await TestIngress.StartAsync(address, Clock, null, $"PULSE_STRIPE_WEBHOOK_SECRET={Delivery.Secret}");

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => new Delivery().SendAsync(ingress, Clock)));

        foreach (var answer in answers)
        {
            await answer.IsProblem(503, "unavailable");
            Assert.Equal("5", answer.Header("Retry-After"));
        }

        // What needs no Postgres is told even so.
        await (await new Delivery { SignedWith = "x" }.SendAsync(ingress, Clock)).IsProblem(400, "invalid_signature");
    }

    [Fact]
    public async Task More_than_may_wait_are_refused_at_once_and_the_others_are_stored_when_Postgres_goes_on()
    {
        await IsReceived(await new Delivery().SendAsync(Webhooks, Clock), "accepted");
        await using var other = await Postgres.Worker.OpenConnectionAsync();
        await using var transaction = await other.BeginTransactionAsync();
        await using (var command = new NpgsqlCommand("lock table pulse.stripe_events in access exclusive mode", other, transaction))
            await command.ExecuteNonQueryAsync();

        var deliveries = Enumerable.Range(0, 600).Select(_ => new Delivery()).ToList();
        var sent = deliveries.Select(delivery => delivery.SendAsync(Webhooks, Clock)).ToList();
        // 128 are at the server at most, and 256 wait.
        await Eventually.Until(() => sent.Count(answer => answer.IsCompleted) >= 600 - 128 - 256, TimeSpan.FromSeconds(30), "who can't wait is answered");
        foreach (var refused in sent.Where(answer => answer.IsCompleted).ToList())
            await (await refused).IsProblem(503, "unavailable");

        await transaction.RollbackAsync();
        var answers = await Task.WhenAll(sent);
        Assert.All(answers, answer => Assert.Contains(answer.StatusCode, new[] { HttpStatusCode.OK, HttpStatusCode.ServiceUnavailable }));
        string[] accepted = [.. deliveries.Zip(answers).Where(one => one.Second.StatusCode == HttpStatusCode.OK).Select(one => one.First.Id)];
        Assert.Equal(accepted.Length, await Postgres.AskAsync<long>("select count(*) from pulse.stripe_events where event_id = any($1)", (object)accepted));
        await IsReceived(await new Delivery().SendAsync(Webhooks, Clock), "accepted");
    }

    [Fact]
    public async Task A_row_that_Postgres_refuses_takes_no_neighbour_along()
    {
        // A constraint stands for whatever Postgres may have against one event.
        await ExecuteAsync("alter table pulse.stripe_events add constraint no_bad check (type <> 'bad') not valid");
        try
        {
            await using var other = await Postgres.Worker.OpenConnectionAsync();
            await using var transaction = await other.BeginTransactionAsync();
            await using (var command = new NpgsqlCommand("lock table pulse.stripe_events in access exclusive mode", other, transaction))
                await command.ExecuteNonQueryAsync();

            // The first goes alone, the others gather behind it.
            var sent = Enumerable.Range(0, 20).Select(i => new Delivery { Type = i == 7 ? "bad" : "good" }.SendAsync(Webhooks, Clock)).ToList();
            await Eventually.Until(
                async () => await Postgres.AskAsync<long>("select count(*) from pg_locks where not granted and relation = 'pulse.stripe_events'::regclass") > 0, TimeSpan.FromSeconds(3), "a group waits");
            await transaction.RollbackAsync();

            var answers = await Task.WhenAll(sent);
            Assert.Equal(19, answers.Count(answer => answer.StatusCode == HttpStatusCode.OK));
            Assert.Equal(HttpStatusCode.InternalServerError, answers[7].StatusCode);
        }
        finally
        {
            await ExecuteAsync("alter table pulse.stripe_events drop constraint no_bad");
        }
    }

    [Fact]
    public async Task Another_method_is_405() => await (await Webhooks.Http.GetAsync("/api/webhooks/stripe")).IsProblem(405, "method_not_allowed");

    [Fact]
    public async Task Without_a_secret_and_without_hosted_mode_the_endpoint_is_not_there()
    {
        await (await new Delivery().SendAsync(Ingress, Clock)).IsProblem(404, "not_found");
        await using var unhosted = await StartAsync("PULSE_HOSTED_MODE=false", $"PULSE_STRIPE_WEBHOOK_SECRET={Delivery.Secret}");
        await (await new Delivery().SendAsync(unhosted, Clock)).IsProblem(404, "not_found");
    }

    [Theory]
    [InlineData("")]
    [InlineData("   ")]
    [InlineData(",")]
    [InlineData("whsec_a,")]
    [InlineData("whsec_a, ,whsec_b")]
    public void A_blank_secret_stops_the_start_and_is_named(string value)
    {
        string[] args = ["--PULSE_POSTGRES=postgresql://user:sesame@host/db", $"--PULSE_STRIPE_WEBHOOK_SECRET={value}"];

        var mistake = Assert.Single(Assert.Throws<SettingsException>(() => IngressProcess.Build(args)).Mistakes);

        Assert.StartsWith("PULSE_STRIPE_WEBHOOK_SECRET ", mistake, StringComparison.Ordinal);
        Assert.DoesNotContain("whsec_a", mistake, StringComparison.Ordinal);
    }

    async Task<long> MessagesAsync(string eventId) =>
        await Postgres.AskAsync<long>("select count(*) from messaging.outbox where convert_from(body, 'UTF8')::jsonb #>> '{message,eventId}' = $1", eventId);

    Task<long> RowsAsync() => Postgres.AskAsync<long>("select (select count(*) from pulse.stripe_events) + (select count(*) from messaging.outbox)");

    async Task<double> FailuresAsync(string reason)
    {
        var line = (await Webhooks.Http.GetStringAsync("/metrics")).Split('\n').Single(line => line.StartsWith($"pulse_stripe_signature_failures_total{{reason=\"{reason}\"}}", StringComparison.Ordinal));
        return double.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
    }

    async Task ExecuteAsync(string sql)
    {
        await using var command = Postgres.Worker.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    static async Task IsReceived(HttpResponseMessage answer, string status)
    {
        Assert.Equal(200, (int)answer.StatusCode);
        Assert.Equal($$"""{"received":true,"status":"{{status}}"}""", await answer.Content.ReadAsStringAsync());
    }
}
