using MassTransit;
using Npgsql;
using Pulse.Messaging;
using Pulse.Messaging.Rehearsing;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>Work whose consumer can be broken and mended.</summary>
public sealed record Chore
{
    public required Guid ChoreId { get; init; }
    public Guid? OrgId { get; init; }
    public string? Note { get; init; }
}

public sealed record ChoreStored
{
    public required Guid ChoreId { get; init; }
}

/// <summary>What is wrong with the consumers of one test.</summary>
public sealed class Faults
{
    /// <summary>What a chore's consumer throws, if anything.</summary>
    public Func<Chore, Exception?> Of { get; set; } = _ => null;
}

/// <summary>No repetition mends it, so it is dead-lettered at once.</summary>
public sealed class ChoreBrokenException(string message) : UnprocessableMessageException(message);

/// <summary>One row and one event for each chore. No unique index: a second effect would be a second row.</summary>
[Rehearsable]
public sealed class ChoreConsumer(Faults faults) : IConsumer<Chore>
{
    public async Task Consume(ConsumeContext<Chore> context)
    {
        if (faults.Of(context.Message) is { } fault)
            throw fault;

        await using (var command = new NpgsqlCommand("insert into bed.chores (chore) values ($1)", await context.Transaction().OpenAsync()))
        {
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = context.Message.ChoreId });
            await command.ExecuteNonQueryAsync();
        }

        await context.Publish(new ChoreStored { ChoreId = context.Message.ChoreId });
    }
}

/// <summary>It only defers: committed together with others.</summary>
[Rehearsable]
public sealed class DeferringChoreConsumer(Faults faults) : IConsumer<Chore>
{
    public Task Consume(ConsumeContext<Chore> context)
    {
        if (faults.Of(context.Message) is { } fault)
            throw fault;

        context.Transaction().Defer(new NpgsqlBatchCommand("insert into bed.chores (chore) values ($1)")
        {
            Parameters = { new NpgsqlParameter<Guid> { TypedValue = context.Message.ChoreId } },
        });
        return Task.CompletedTask;
    }
}

/// <summary>It may call out, so nobody rehearses it.</summary>
public sealed class ChoreStoredConsumer : IConsumer<ChoreStored>
{
    public Task Consume(ConsumeContext<ChoreStored> context) => Task.CompletedTask;
}
