using MassTransit;
using Npgsql;
using Pulse.Messaging;

namespace Pulse.Bench;

public sealed record Deposited
{
    public required Guid Account { get; init; }
    public required long Amount { get; init; }
    public required DateTimeOffset At { get; init; }
}

public sealed record DepositStored
{
    public required Guid Account { get; init; }
    public required long Amount { get; init; }
    public required DateTimeOffset At { get; init; }
}

/// <summary>The one upsert, the same for everyone.</summary>
static class DepositTable
{
    public const string Create = """
        create schema bench;
        create table bench.accounts (account uuid not null primary key, balance bigint not null, updated_at timestamptz not null)
        """;

    public const string UpsertSql = """
        insert into bench.accounts as known (account, balance, updated_at) values ($1, $2, $3)
        on conflict (account) do update set balance = known.balance + excluded.balance, updated_at = excluded.updated_at
        """;

    public static void Fill(NpgsqlParameterCollection parameters, Deposited message)
    {
        parameters.Add(new NpgsqlParameter<Guid> { TypedValue = message.Account });
        parameters.Add(new NpgsqlParameter<long> { TypedValue = message.Amount });
        parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = message.At.UtcDateTime });
    }

    public static DepositStored Stored(Deposited message) => new() { Account = message.Account, Amount = message.Amount, At = message.At };
}

/// <summary>How far the consumers of one run are.</summary>
public sealed class Progress(int count, Action first)
{
    readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    int _begun;
    int _finished;

    public Task Done => _done.Task;
    public int Finished => _finished;

    public void Begin()
    {
        if (Interlocked.Increment(ref _begun) == 1)
            first();
    }

    public void Finish()
    {
        if (Interlocked.Increment(ref _finished) == count)
            _done.TrySetResult();
    }
}

/// <summary>Exactly once, one message a transaction: it wants the upsert's answer before it publishes.</summary>
public sealed class ExactlyOnceConsumer(Progress progress) : IConsumer<Deposited>
{
    public async Task Consume(ConsumeContext<Deposited> context)
    {
        progress.Begin();
        var transaction = context.Transaction();
        var upsert = new NpgsqlBatchCommand(DepositTable.UpsertSql);
        DepositTable.Fill(upsert.Parameters, context.Message);
        await transaction.QueryAsync(upsert, (row, _) => Task.FromResult(row.RecordsAffected), context.CancellationToken);
        await context.Publish(DepositTable.Stored(context.Message));
        transaction.OnCommitted(progress.Finish);
    }
}

/// <summary>Exactly once, with the upsert in the same round trip as the commit, which it shares with whoever is ready at the same time.</summary>
public sealed class DeferringConsumer(Progress progress) : IConsumer<Deposited>
{
    public async Task Consume(ConsumeContext<Deposited> context)
    {
        progress.Begin();
        var transaction = context.Transaction();
        var upsert = new NpgsqlBatchCommand(DepositTable.UpsertSql);
        DepositTable.Fill(upsert.Parameters, context.Message);
        transaction.Defer(upsert);
        await context.Publish(DepositTable.Stored(context.Message));
        transaction.OnCommitted(progress.Finish);
    }
}

/// <summary>The bound: nothing tells a repeat from a first delivery, and a crash behind the commit loses the event.</summary>
public sealed class PlainConsumer(NpgsqlDataSource dataSource, Progress progress) : IConsumer<Deposited>
{
    public async Task Consume(ConsumeContext<Deposited> context)
    {
        progress.Begin();
        await using (var connection = await dataSource.OpenConnectionAsync())
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await using (var command = new NpgsqlCommand(DepositTable.UpsertSql, connection))
            {
                DepositTable.Fill(command.Parameters, context.Message);
                await command.ExecuteNonQueryAsync();
            }

            await transaction.CommitAsync();
            RoundTrips.Add();
        }

        await context.Publish(DepositTable.Stored(context.Message));
        progress.Finish();
    }
}
