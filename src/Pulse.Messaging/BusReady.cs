using MassTransit;

namespace Pulse.Messaging;

/// <summary>Completes when the bus has connected for the first time and declared its exchanges, queues and bindings.</summary>
sealed class BusReady : IBusObserver
{
    readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Task => _ready.Task;

    public async Task PostStart(IBus bus, Task<MassTransit.BusReady> busReady)
    {
        await busReady;
        _ready.TrySetResult();
    }

    public void PostCreate(IBus bus)
    {
    }

    public void CreateFaulted(Exception exception)
    {
    }

    public Task PreStart(IBus bus) => Task.CompletedTask;
    public Task StartFaulted(IBus bus, Exception exception) => Task.CompletedTask;
    public Task PreStop(IBus bus) => Task.CompletedTask;
    public Task PostStop(IBus bus) => Task.CompletedTask;
    public Task StopFaulted(IBus bus, Exception exception) => Task.CompletedTask;
}
