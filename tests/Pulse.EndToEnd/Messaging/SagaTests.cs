using MassTransit;
using Microsoft.Extensions.DependencyInjection;
using Pulse.Testing;

namespace Pulse.EndToEnd.Messaging;

/// <summary>Sagas and their timers, in the transaction of the message that moves them.</summary>
public sealed class SagaTests : IAsyncLifetime
{
    readonly Bed _bed = new();
    readonly Guid _parcel = Guid.CreateVersion7();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    Task<Node> StartAsync(int together = 1, Func<string, Task>? atPoint = null)
    {
        var gate = new SagaGate(together);
        return _bed.StartAsync(
            bus =>
            {
                bus.AddSingleton(gate);
                ParcelSaga.Register(bus);
            },
            atPoint);
    }

    Task<string> StateAsync() => _bed.Postgres.AskAsync<string>("select coalesce(max(current_state), 'none') from messaging.sagas where correlation_id = $1", _parcel);

    Task BecomesAsync(string state) =>
        Eventually.Until(async () => await StateAsync() == state, TimeSpan.FromSeconds(30), $"the parcel became {state}");

    Task<long> TimersAsync() => _bed.Postgres.AskAsync<long>("select count(*) from messaging.outbox where token is not null");

    ParcelSent Sent(TimeSpan patience, bool arrived = false) => new() { Parcel = _parcel, Patience = patience, Arrived = arrived };

    [Fact]
    public async Task A_timer_fires_when_it_is_due_even_when_the_process_was_away()
    {
        var node = await StartAsync();
        await _bed.PublishAsync(Sent(TimeSpan.FromSeconds(1)));
        await BecomesAsync("Underway");
        await node.DieAsync(_bed);

        await StartAsync();
        await BecomesAsync("Lost");
        await _bed.DrainedAsync();
    }

    [Fact]
    public async Task A_cancelled_timer_is_gone_with_the_message_that_cancels_it()
    {
        await StartAsync();
        await _bed.PublishAsync(Sent(TimeSpan.FromHours(1)));
        await BecomesAsync("Underway");
        Assert.Equal(1, await TimersAsync());

        await _bed.PublishAsync(new ParcelArrived { Parcel = _parcel });
        await BecomesAsync("Arrived");
        Assert.Equal(0, await TimersAsync());
    }

    [Fact]
    public async Task A_timer_that_is_cancelled_by_the_message_that_sets_it_is_never_written()
    {
        await StartAsync();
        await _bed.PublishAsync(Sent(TimeSpan.FromHours(1), arrived: true));
        await BecomesAsync("Arrived");
        Assert.Equal(0, await TimersAsync());
    }

    [Fact]
    public async Task A_timer_that_fires_while_it_is_being_cancelled_changes_nothing()
    {
        var firing = new StopAt("relay: before publish");
        var armed = false;
        await StartAsync(atPoint: point => armed ? firing.PassAsync(point) : Task.CompletedTask);
        await _bed.PublishAsync(Sent(TimeSpan.FromSeconds(2)));
        await BecomesAsync("Underway");
        armed = true;
        await firing.ReachedAsync();

        // One relay has the timer's row locked and is about to publish it; the cancelling message comes by another, and its
        // delete stands behind that lock.
        await StartAsync();
        await _bed.PublishAsync(new ParcelArrived { Parcel = _parcel });
        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query like '%where token%'") == 1,
            TimeSpan.FromSeconds(20), "the cancel waits for the relay");
        firing.LetGo();

        // The timer's message is delivered all the same, and finds that it is no longer waited for.
        await Eventually.Until(async () => await _bed.InboxAsync() == 3, TimeSpan.FromSeconds(30), "all three messages were consumed");
        await _bed.DrainedAsync();
        Assert.Equal("Arrived", await StateAsync());
        Assert.Null(await _bed.Broker.ReadyAsync("parcels_error"));
    }

    [Fact]
    public async Task Two_first_messages_of_one_saga_at_once_make_one_saga_that_saw_both()
    {
        // Neither goes on before both have found no saga.
        await StartAsync(together: 2);
        await _bed.PublishAsync(Sent(TimeSpan.FromHours(1)), Sent(TimeSpan.FromHours(1)));

        await Eventually.Until(async () => await _bed.InboxAsync() == 2, TimeSpan.FromSeconds(30), "both were consumed");
        Assert.Equal("2", await _bed.Postgres.AskAsync<string>("select body ->> 'sent' from messaging.sagas"));
        Assert.Equal(1, await _bed.Postgres.AskAsync<long>("select count(*) from messaging.sagas"));
        Assert.Equal(1, await TimersAsync());
    }
}
