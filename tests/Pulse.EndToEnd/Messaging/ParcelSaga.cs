using MassTransit;
using Pulse.Messaging.Sagas;

namespace Pulse.EndToEnd.Messaging;

public sealed record ParcelSent
{
    public required Guid Parcel { get; init; }
    public required TimeSpan Patience { get; init; }

    /// <summary>It arrives in the same moment: the timer is set and taken back in one transaction.</summary>
    public bool Arrived { get; init; }
}

public sealed record ParcelArrived
{
    public required Guid Parcel { get; init; }
}

public sealed record ParcelOverdue
{
    public required Guid Parcel { get; init; }
}

public sealed class ParcelState : SagaStateMachineInstance
{
    public Guid CorrelationId { get; set; }
    public string CurrentState { get; set; } = "";
    public Guid? Timer { get; set; }
    public int Sent { get; set; }
}

/// <summary>A saga with a timer, as small as it can be.</summary>
public sealed class ParcelSaga : MassTransitStateMachine<ParcelState>
{
    public ParcelSaga(SagaGate gate)
    {
        InstanceState(parcel => parcel.CurrentState);
        Event(() => ParcelSent, correlation => correlation.CorrelateById(context => context.Message.Parcel));
        Event(() => ParcelArrived, correlation => correlation.CorrelateById(context => context.Message.Parcel));
        Schedule(() => Overdue, parcel => parcel.Timer, schedule => schedule.Received = correlation => correlation.CorrelateById(context => context.Message.Parcel));

        Initially(
            When(ParcelSent)
                .ThenAsync(_ => gate.PassAsync())
                .Then(context => context.Saga.Sent++)
                .Schedule(Overdue, context => new ParcelOverdue { Parcel = context.Saga.CorrelationId }, context => context.Message.Patience)
                .IfElse(context => context.Message.Arrived,
                    arrived => arrived.Unschedule(Overdue).TransitionTo(Arrived),
                    underway => underway.TransitionTo(Underway)));
        During(Underway,
            When(ParcelSent).Then(context => context.Saga.Sent++),
            When(ParcelArrived).Unschedule(Overdue).TransitionTo(Arrived),
            When(Overdue.Received).TransitionTo(Lost));
        During(Arrived, Ignore(Overdue.AnyReceived));
    }

    public State Underway { get; private set; } = null!;
    public State Arrived { get; private set; } = null!;
    public State Lost { get; private set; } = null!;
    public Event<ParcelSent> ParcelSent { get; private set; } = null!;
    public Event<ParcelArrived> ParcelArrived { get; private set; } = null!;
    public Schedule<ParcelState, ParcelOverdue> Overdue { get; private set; } = null!;

    public static void Register(IBusRegistrationConfigurator bus) =>
        bus.AddSagaStateMachine<ParcelSaga, ParcelState>()
            .PostgresRepository("parcel", parcel => parcel.CurrentState)
            .Endpoint(endpoint => endpoint.Name = "parcels");
}

/// <summary>Lets first messages through only when enough of them are there, each once.</summary>
public sealed class SagaGate(int together)
{
    readonly TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
    int _there;

    public Task PassAsync()
    {
        if (Interlocked.Increment(ref _there) >= together)
            _open.TrySetResult();
        return _open.Task;
    }
}
