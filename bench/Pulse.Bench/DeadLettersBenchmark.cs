using System.Diagnostics;
using System.Text;
using Npgsql;
using RabbitMQ.Client;

namespace Pulse.Bench;

/// <summary>
/// Dead letters through a real worker: collected from a full queue, looked at, and replayed to a consumer that does nothing but note that it is done;
/// then looked at again among a million.
/// </summary>
static class DeadLettersBenchmark
{
    const int Few = 10_000;
    const int Groups = 100;
    const int Looks = 300;
    const string Queue = "lifecycle-metrics";

    public static async Task<Outcome> RunAsync(Bench bench)
    {
        await bench.Servers.StartProcessesAsync();
        await using var dataSource = bench.Servers.OpenPulse();
        var few = new Side($"{Few:#,0} dead letters in {Groups} groups; worker, RabbitMQ, Postgres");
        var most = bench.Options.Organizations;
        var many = new Side($"looking at {most:#,0} of them");

        await bench.AlternateAsync(
            () => RoundAsync(bench, dataSource, 2_000),
            (few, async () => await RoundAsync(bench, dataSource, Few)));

        bench.Say($"adding dead letters up to {most}");
        await SeedAsync(bench, dataSource, Few, most);
        for (var run = 1; run <= bench.Options.Runs; run++)
        {
            bench.Say($"run {run} of {bench.Options.Runs}: {many.What}");
            await SettleAsync(bench, dataSource);
            many.Add(await LookAsync(dataSource));
        }

        await EmptyAsync(dataSource);
        const string page = "first page of a status, p99";
        return new Outcome { Measured = many, Bound = few, Ratio = new Ratio(page, page) };
    }

    static async Task<List<Value>> RoundAsync(Bench bench, NpgsqlDataSource dataSource, int letters)
    {
        await EmptyAsync(dataSource);
        // The queue is full before the worker is there, so that nobody waits for who fills it.
        await bench.Servers.StopAsync("worker");
        await FillAsync(bench, letters);
        await bench.Servers.RestartAsync("worker");
        await dataSource.UntilAsync("select count(*) from pulse.dead_letters", count => count == letters, TimeSpan.FromMilliseconds(50), TimeSpan.FromMinutes(2));
        var collected = await dataSource.AskAsync<double>("select extract(epoch from max(collected_at) - min(collected_at))::double precision from pulse.dead_letters");

        await SettleAsync(bench, dataSource);
        var values = await LookAsync(dataSource);
        values.Add(new Value("collected per second", "1/s", letters / collected));

        var replay = await AskAsync(dataSource, "plan", "PlanReplay", null, $$$"""{"filter":{"queue":"{{{Queue}}}"}}""");
        var at = Stopwatch.GetTimestamp();
        await AskAsync(dataSource, "start", "StartReplay", replay, """{"rate_per_second":0,"canary":0,"stop_on_failure_ratio":1}""");
        await dataSource.UntilAsync("select count(*) from pulse.replays where status = 'completed'", count => count == 1, TimeSpan.FromMilliseconds(20), TimeSpan.FromMinutes(2));
        values.Add(new Value("replayed and resolved per second, from the command to the end", "1/s", letters / Stopwatch.GetElapsedTime(at).TotalSeconds));
        var resolved = await dataSource.AskAsync<long>("select count(*) from pulse.dead_letters where status = 'resolved'");
        if (resolved != letters)
            throw new BenchmarkException($"Of {letters} letters {resolved} were resolved.");
        return values;
    }

    /// <summary>The questions of an operator's first pages, one after the other on one connection.</summary>
    static async Task<List<Value>> LookAsync(NpgsqlDataSource dataSource)
    {
        (string Name, string Sql)[] questions =
        [
            ("groups", "select * from pulse.dead_letter_groups_v1 order by last_failed_at desc, fingerprint desc limit 50"),
            ("first page", Page("{}")),
            ("first page of a status", Page("""{"status":["parked","failed_again"]}""")),
            ("first page of a queue", Page($$$"""{"queue":"{{{Queue}}}"}""")),
            ("first page of a group", Page($$"""{"fingerprint":"{{await dataSource.AskAsync<string>("select fingerprint from pulse.dead_letter_groups order by fingerprint limit 1")}}","status":["parked"]}""")),
            ("first page of an exception", Page("""{"exception_type":"Bench.Exception7"}""")),
            ("first page of a text", Page("""{"text":"unlucky number"}""")),
            ("first page of an organization", Page($$$"""{"org_id":"{{{await dataSource.AskAsync<Guid>("select org_id from pulse.dead_letters where org_id is not null limit 1")}}}"}""")),
            ("first page of a day", Page("""{"failed_until":"2100-01-01T00:00:00Z","queue":"lifecycle-metrics"}""")),
            ("gauge", "select queue, status, sum(letters)::bigint from pulse.dead_letter_counts_v1 group by queue, status"),
        ];
        var values = new List<Value>();
        await using var connection = await dataSource.OpenConnectionAsync();
        foreach (var (name, sql) in questions)
        {
            var latencies = new Latencies();
            for (var look = 0; look < Looks; look++)
            {
                var at = Stopwatch.GetTimestamp();
                await using (var command = new NpgsqlCommand(sql, connection))
                await using (var row = await command.ExecuteReaderAsync())
                {
                    var rows = 0;
                    while (await row.ReadAsync())
                        rows++;
                    if (rows == 0)
                        throw new BenchmarkException($"Nothing was found: {name}.");
                }

                // The first looks plan the statement.
                if (look >= 10)
                    latencies.Add(Stopwatch.GetElapsedTime(at));
            }

            values.AddRange(latencies.Percentiles(name));
        }

        return values;

        static string Page(string filter) =>
            $"select l.* from pulse.find_dead_letters('{filter}', null, null, 50) f join pulse.dead_letters_v1 l using (dead_letter_id) order by f.last_failed_at desc, f.dead_letter_id desc";
    }

    static Task EmptyAsync(NpgsqlDataSource dataSource) => dataSource.RunAsync(
        "truncate pulse.dead_letters, pulse.dead_letter_occurrences, pulse.dead_letter_groups, pulse.dead_letter_counts, pulse.dead_letter_differences, pulse.replays, pulse.replay_items, messaging.inbox");

    // As MassTransit moves what failed: the message and what was thrown.
    static async Task FillAsync(Bench bench, int letters)
    {
        await using var connection = await new ConnectionFactory { Uri = bench.Servers.Broker }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync(new CreateChannelOptions(
            publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true, outstandingPublisherConfirmationsRateLimiter: null));
        foreach (var piece in Enumerable.Range(0, letters).Chunk(500))
        {
            await Task.WhenAll(piece.Select(number =>
            {
                var (id, org) = (Guid.CreateVersion7(), Guid.CreateVersion7());
                var body = $$"""{"messageId":"{{id}}","conversationId":"{{id}}","messageType":["urn:message:Pulse.Contracts.Lifecycle:OrganizationStatusChanged"],"message":{"orgId":"{{org}}","fromStatus":"active","toStatus":"suspended","acceptedAt":"2026-11-21T12:00:00Z","changedAt":"2026-11-21T12:00:01Z"},"sentTime":"2026-11-21T12:00:00Z"}""";
                var fault = number % Groups;
                return channel.BasicPublishAsync("", $"{Queue}_error", mandatory: true, new BasicProperties
                {
                    Persistent = true,
                    MessageId = id.ToString(),
                    ContentType = Broker.ContentType,
                    Headers = new Dictionary<string, object?>
                    {
                        ["MT-Reason"] = "fault",
                        ["MT-Fault-ExceptionType"] = $"Bench.Exception{fault}",
                        ["MT-Fault-Message"] = $"The {(number % 500 == 7 ? "unlucky" : "ordinary")} number {number} was met",
                        ["MT-Fault-StackTrace"] = string.Join('\n', Enumerable.Range(0, 20).Select(frame => $"   at Bench.Fault{fault}.Frame{(char)('A' + frame)}(String value) in /src/Fault.cs:line {number}")),
                        ["MT-Fault-Timestamp"] = DateTime.UtcNow.ToString("O"),
                    },
                }, Encoding.UTF8.GetBytes(body)).AsTask();
            }));
        }
    }

    const string SeedSql = """
        insert into pulse.dead_letters
            (dead_letter_id, queue, message_id, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint, org_id, ids, content_type,
             headers, body, body_bytes, status, first_failed_at, last_failed_at, occurrences, changed_at, collected_at)
        select gen_random_uuid(), l.queue, gen_random_uuid(), l.reason, true, l.message_type, l.exception_type,
            'The ' || case when i % 500 = 7 then 'unlucky' else 'ordinary' end || ' number ' || i || ' was met', l.stack, l.fingerprint, gen_random_uuid(),
            array[gen_random_uuid(), gen_random_uuid()], l.content_type, l.headers, l.body, l.body_bytes,
            case when i % 10 < 4 then 'parked' when i % 10 < 8 then 'resolved' when i % 10 = 8 then 'discarded' else 'failed_again' end,
            now() - i * interval '1 second', now() - i * interval '1 second', 0, now(), now()
        from generate_series($1 + 1, $2) i
        join (select *, row_number() over (order by dead_letter_id) - 1 as number from pulse.dead_letters limit 1000) l on l.number = i % 1000
        """;

    // Rows as the collector makes them, by the database itself.
    static async Task SeedAsync(Bench bench, NpgsqlDataSource dataSource, int from, int count)
    {
        for (var at = from; at < count; at += 50_000)
            await dataSource.RunAsync(SeedSql, (long)at, (long)Math.Min(at + 50_000, count));
        // As many as the pages of few have.
        await dataSource.RunAsync("update pulse.dead_letters set status = 'parked' where status = 'resolved' and dead_letter_id in (select dead_letter_id from pulse.dead_letters order by last_failed_at desc limit 1000)");
    }

    // As a table is that nobody has changed for a while, the same for few and for many: the worker has added the differences up, no old version lies about,
    // and the planner knows how many there are.
    static async Task SettleAsync(Bench bench, NpgsqlDataSource dataSource)
    {
        await dataSource.UntilAsync("select count(*) from pulse.dead_letter_differences", left => left < 100, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(3));
        await dataSource.RunAsync("vacuum analyze");
        await bench.Servers.Admin.RunAsync("checkpoint");
    }

    const string OperationSql = "insert into pulse.operations (operation_id, kind, request, actor, requested_at) values ($1, $2, $3::jsonb, 'bench', now())";

    const string MessageSql = """
        insert into messaging.outbox (id, message_id, exchange, routing_key, content_type, body, due_at, relay_at)
        select id, id, 'Pulse.Contracts.DeadLetters:' || $2, '', $4, convert_to(jsonb_build_object(
            'messageId', id, 'messageType', array['urn:message:Pulse.Contracts.DeadLetters:' || $2],
            'message', jsonb_build_object('operationId', $1::uuid, 'replayId', $3::uuid))::text, 'UTF8'), now(), '-infinity'
        from gen_random_uuid() as id
        """;

    // As ingress does it.
    static async Task<Guid> AskAsync(NpgsqlDataSource dataSource, string kind, string command, Guid? replay, string request)
    {
        var id = Guid.CreateVersion7();
        await dataSource.RunAsync(OperationSql, id, $"deadletters.{kind}", request);
        await dataSource.RunAsync(MessageSql, id, command, replay ?? id, Broker.ContentType);
        await dataSource.RunAsync("notify pulse_outbox");
        await dataSource.UntilAsync($"select count(*) from pulse.operations where operation_id = '{id}' and status <> 'pending'", count => count == 1, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1));
        if (await dataSource.AskAsync<string>("select status || coalesce(' ' || problem_detail, '') from pulse.operations where operation_id = $1", id) is var ended and not "succeeded")
            throw new BenchmarkException($"{kind}: {ended}");
        return id;
    }
}
