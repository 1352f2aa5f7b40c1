using System.Text;
using Pulse.EndToEnd.Messaging;
using Pulse.Testing;
using RabbitMQ.Client;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>From the queues into rows, whatever lies there and whoever dies.</summary>
public sealed class CollectorTests : IAsyncLifetime
{
    readonly LetterBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Fact]
    public async Task A_failed_message_is_kept_with_all_that_is_known_of_it()
    {
        await _bed.StartAsync();
        var org = Guid.CreateVersion7();
        var chore = Assert.Single(await _bed.BreakAsync(1, org: org));

        Assert.Equal(
            ("chores", "fault", true, "Pulse.EndToEnd.DeadLetters:Chore", "Pulse.EndToEnd.DeadLetters.ChoreBrokenException", $"it is broken: {chore}", org, 1),
            (await ColumnAsync<string>("queue"), await ColumnAsync<string>("reason"), await ColumnAsync<bool>("is_envelope"), await ColumnAsync<string>("message_type"),
                await ColumnAsync<string>("exception_type"), await ColumnAsync<string>("exception_message"), await ColumnAsync<Guid>("org_id"), await ColumnAsync<int>("occurrences")));
        Assert.Contains("ChoreConsumer.Consume", await ColumnAsync<string>("stack"), StringComparison.Ordinal);
        Assert.Contains(chore, await ColumnAsync<Guid[]>("ids"));
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.find_dead_letters(jsonb_build_object('id', $1), null, null, 10)", chore));
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.find_dead_letters('{\"text\":\"broken chores\",\"status\":\"parked\"}', null, null, 10)"));
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.find_dead_letters('{\"text\":\"mended\"}', null, null, 10)"));
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("chores_error") == 0, TimeSpan.FromSeconds(20), "the queue is empty");
    }

    [Theory]
    [InlineData("dead letters: before store")]
    [InlineData("dead letters: before acknowledge")]
    public async Task A_collector_that_dies_leaves_one_row_and_the_right_count(string point)
    {
        var stop = new StopAt(point);
        var first = await _bed.StartAsync(stop.PassAsync);
        _bed.Faults.Of = _ => new ChoreBrokenException("broken");
        await _bed.PublishAsync(new Chore { ChoreId = Guid.CreateVersion7() });
        await stop.ReachedAsync();
        // The bus, the outbox, the collector: the broker's list is seconds old.
        await Eventually.Until(async () => await _bed.Broker.ConnectionsAsync() >= 3, TimeSpan.FromSeconds(30), "the broker knew all connections");
        await _bed.DieAsync(first);
        // It comes again, and is done with: only then is what was counted final.
        var again = new StopAt("dead letters: after acknowledge");
        await _bed.StartAsync(again.PassAsync);
        await again.ReachedAsync();
        again.LetGo();

        Assert.Equal(1L, await _bed.LettersAsync());
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("chores_error") == 0, TimeSpan.FromSeconds(30), "the queue is empty");
        Assert.Equal(1, await ColumnAsync<int>("occurrences"));
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.dead_letter_occurrences"));
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select parked from pulse.dead_letter_groups_v1"));
    }

    [Fact]
    public async Task What_is_no_envelope_is_kept_and_a_second_delivery_of_it_is_the_same_letter()
    {
        await _bed.StartAsync();
        byte[] odd = [0xff, 0xfe, 0x00, .. "a \0 secret"u8];
        // NUL, half a character, a table, a list: none of it is a text that Postgres takes.
        var headers = new Dictionary<string, object?>
        {
            ["MT-Fault-Message"] = "half \uD83D and nothing \0",
            ["odd"] = odd,
            ["table"] = new Dictionary<string, object?> { ["inner"] = 1L, ["list"] = new List<object?> { "a", null, true } },
            ["x-delivery-count"] = 7L,
        };
        await PublishAsync("chores_error", odd, headers);
        await Eventually.Until(async () => await _bed.LettersAsync() == 1, TimeSpan.FromSeconds(30), "it was collected");
        headers["x-delivery-count"] = 8L;
        await PublishAsync("chores_error", odd, headers);
        await PublishAsync("chores_error", "{\"not\":\"an envelope\"}"u8.ToArray(), []);
        await PublishAsync("chores_skipped", [], []);
        await Eventually.Until(async () => await _bed.LettersAsync() == 3, TimeSpan.FromSeconds(30), "the others were collected");
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("chores_error") == 0, TimeSpan.FromSeconds(30), "the queue is empty");

        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.dead_letters where body = $1 and occurrences = 1 and not is_envelope", odd));
        Assert.Equal("half \uFFFD and nothing \uFFFD", await _bed.Postgres.AskAsync<string>("select exception_message from pulse.dead_letters where body = $1", odd));
        Assert.Equal("other 2, skipped 1", await _bed.Postgres.AskAsync<string>("select string_agg(reason || ' ' || n, ', ' order by reason) from (select reason, count(*) as n from pulse.dead_letters group by reason) as counts"));
    }

    [Fact]
    public async Task A_broker_that_cuts_every_connection_and_a_queue_that_is_deleted_are_survived()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(1);
        await Eventually.Until(async () => await _bed.Broker.CutConnectionsAsync() > 0, TimeSpan.FromSeconds(20), "the broker knew the connections");
        await _bed.BreakAsync(1);

        await using (var connection = await new ConnectionFactory { Uri = _bed.Broker.Address }.CreateConnectionAsync())
        await using (var channel = await connection.CreateChannelAsync())
            await channel.QueueDeleteAsync("chores_error");
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("chores_error") is not null, TimeSpan.FromSeconds(30), "it was declared anew");
        await _bed.BreakAsync(2);
        Assert.Equal(4L, await _bed.LettersAsync());
    }

    [Fact]
    public async Task A_hundred_deliveries_without_an_acknowledgement_lose_nothing()
    {
        await _bed.StartAsync();
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync("chores_skipped") is not null, TimeSpan.FromSeconds(30), "the queues are declared");
        // Apart from the collector, which would take it: the same arguments, by the same hand.
        await using var connection = await new ConnectionFactory { Uri = _bed.Broker.Address }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        await channel.QueueDeclareAsync(
            "apart_error", durable: true, exclusive: false, autoDelete: false,
            Pulse.Messaging.DeadLetters.DeadLetterQueues.Arguments.ToDictionary(argument => argument.Key, argument => argument.Value));
        await channel.BasicPublishAsync("", "apart_error", mandatory: true, new BasicProperties { Persistent = true }, "still here"u8.ToArray());
        BasicGetResult? got = null;
        for (var delivery = 0; delivery <= 100; delivery++)
        {
            await Eventually.Until(async () => (got = await channel.BasicGetAsync("apart_error", autoAck: false)) is not null, TimeSpan.FromSeconds(10), "it is there");
            await channel.BasicNackAsync(got!.DeliveryTag, multiple: false, requeue: true);
        }

        await Eventually.Until(async () => (got = await channel.BasicGetAsync("apart_error", autoAck: true)) is not null, TimeSpan.FromSeconds(10), "it is still there");
        Assert.Equal("still here", Encoding.UTF8.GetString(got!.Body.Span));
    }

    [Fact]
    public async Task A_letter_that_the_database_refuses_is_kept_as_bare_bytes_and_its_neighbours_whole()
    {
        await _bed.StartAsync();
        // What no reading foresaw.
        await _bed.RunAsync("""
            create function bed.refuse() returns trigger language plpgsql as $$ begin
                if new.exception_message like '%cursed%' then raise exception 'no' using errcode = '22021'; end if;
                return new;
            end $$;
            create trigger refuse before insert or update on pulse.dead_letters for each row execute function bed.refuse();
            """);
        _bed.Faults.Of = chore => new ChoreBrokenException(chore.Note ?? "");
        await _bed.PublishAsync([.. Enumerable.Range(0, 20).Select(number => new Chore { ChoreId = Guid.CreateVersion7(), Note = number == 7 ? "cursed" : "plain" })]);

        await Eventually.Until(async () => await _bed.LettersAsync() == 20, TimeSpan.FromSeconds(60), "all were collected");
        Assert.Equal(19L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.dead_letters where exception_message = 'plain'"));
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.dead_letters where exception_message is null and strpos(convert_from(body, 'UTF8'), 'cursed') > 0"));
        Assert.Equal(20L, await _bed.Postgres.AskAsync<long>("select sum(letters)::bigint from pulse.dead_letter_counts_v1"));
    }

    Task<T> ColumnAsync<T>(string column) => _bed.Postgres.AskAsync<T>($"select {column} from pulse.dead_letters");

    async Task PublishAsync(string queue, byte[] body, Dictionary<string, object?> headers)
    {
        await Eventually.Until(async () => await _bed.Broker.ReadyAsync(queue) is not null, TimeSpan.FromSeconds(30), $"{queue} is declared");
        await using var connection = await new ConnectionFactory { Uri = _bed.Broker.Address }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        await channel.BasicPublishAsync("", queue, mandatory: true, new BasicProperties { Persistent = true, Headers = headers }, body);
    }
}
