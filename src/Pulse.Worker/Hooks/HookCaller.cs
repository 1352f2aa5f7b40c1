using Npgsql;
using Pulse.Messaging;

namespace Pulse.Worker.Hooks;

/// <summary>What became of a call, and what its caller publishes in the transaction that it was stored in.</summary>
/// <param name="Call">Null when there is none.</param>
/// <param name="Step">What it came to.</param>
sealed record HookEnd(HookCall? Call, HookStep Step)
{
    /// <summary>ContinueHookCall is to be published for then.</summary>
    public DateTimeOffset? Timer { get; init; }

    /// <summary>A call that follows from it, stored with it: ContinueHookCall is to be published for it as well.</summary>
    public NewHookCall? Next { get; init; }

    /// <summary>How it ended, in words of the metric. An asynchronous end has one as well.</summary>
    public IReadOnlyList<string> Outcomes { get; init; } = [];
}

/// <summary>
/// Makes one call: lease, call outside of any transaction, store under the fence. Whoever dies in between, or is overtaken, has stored
/// nothing, and the next one calls again, under the same key.
/// </summary>
sealed partial class HookCaller(
    NpgsqlDataSource dataSource, HookClient client, HookOptions options, MessagingOptions messaging, TimeProvider clock, ILogger<HookCaller> log)
{
    public const string EndpointName = "hook-calls";
    public const string CompletionPath = "/api/hooks/provision/";

    /// <param name="callId">Which.</param>
    /// <param name="open">Begins the transaction that it stores in; the caller commits.</param>
    public async Task<HookEnd> RunAsync(Guid callId, Func<CancellationToken, ValueTask<NpgsqlConnection>> open, CancellationToken cancellationToken)
    {
        await messaging.ReachedAsync(EndpointName, "before lease");
        var now = clock.GetUtcNow();
        var call = options.Url is null ? null : await HookCallTable.LeaseAsync(dataSource, callId, now, now + options.Lease, cancellationToken);
        if (call is null)
            return await LookAsync(callId, await open(cancellationToken), cancellationToken);

        HookAnswer answer;
        NpgsqlConnection connection;
        try
        {
            await messaging.ReachedAsync(EndpointName, "after lease");
            answer = await CallAsync(call, cancellationToken);
            connection = await open(cancellationToken);
        }
        catch
        {
            await ReleaseAsync(call);
            throw;
        }

        now = clock.GetUtcNow();
        var decision = HookRules.AfterAnswer(call, answer, now, Random.Shared.NextDouble(), options);
        Answered(log, call.Type, call.CallId, answer.Word, answer.Status, call.Attempts);
        var end = await StoreAsync(call, decision, now, connection, cancellationToken);
        return end with { Outcomes = decision.Outcome == answer.Word || end.Step is HookStep.Leave ? [answer.Word] : [answer.Word, decision.Outcome] };
    }

    async Task<HookAnswer> CallAsync(HookCall call, CancellationToken cancellationToken)
    {
        Uri? callback = null;
        if (options.PublicUrl is { } address)
        {
            var token = CallbackToken.Of(options.Secrets[0], call.Seed);
            var expiresAt = call.Deadline ?? clock.GetUtcNow() + options.Lease + options.Deadline;
            await HookCallTable.OfferAsync(dataSource, CallbackToken.Hash(token), call.CallId, expiresAt, cancellationToken);
            callback = new Uri(address.AbsoluteUri.TrimEnd('/') + CompletionPath + token);
        }

        await messaging.ReachedAsync(EndpointName, "before call");
        var answer = await client.PostAsync(call.CallId.ToString(), call.Body(callback), cancellationToken);
        await messaging.ReachedAsync(EndpointName, "after call");
        return answer;
    }

    // It has ended, is another's, is not yet due, or the platform has told how it ended.
    async Task<HookEnd> LookAsync(Guid callId, NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        if (await HookCallTable.LockAsync(connection, callId, cancellationToken) is not { } call)
            return new HookEnd(null, HookStep.Leave);

        var now = clock.GetUtcNow();
        var decision = HookRules.Look(call, now, options);
        return decision.Step is HookStep.Leave or HookStep.Look
            ? new HookEnd(call, decision.Step) { Timer = decision.At }
            : await StoreAsync(call, decision, now, connection, cancellationToken) with { Outcomes = [decision.Outcome] };
    }

    async Task<HookEnd> StoreAsync(HookCall call, HookDecision decision, DateTimeOffset now, NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var status = decision.Step switch { HookStep.Succeed => "succeeded", HookStep.Fail => "failed", HookStep.Await => "waiting", _ => "pending" };
        if (!await HookCallTable.StoreAsync(connection, call, status, decision, now, cancellationToken))
            return new HookEnd(call, HookStep.Leave);

        // A provision that may have left something behind is taken back, and what could not be taken back is tried anew. Not before whatever
        // is still at work over there has come to its end.
        NewHookCall? next = null;
        if (decision.TakesBack)
        {
            next = call.IsProvision
                ? NewHookCall.ForOrphan(call.OrgId, call.SignupId!.Value, now + options.Timeout, now)
                : NewHookCall.After(call, now + HookRules.Backoff(call, null, Random.Shared.NextDouble(), options), now);
            await HookCallTable.OpenAsync(connection, next, cancellationToken);
        }

        if (decision.Step is HookStep.Fail)
            Failed(log, call.Type, call.CallId, call.OrgId, decision.Outcome);
        return new HookEnd(call, decision.Step) { Timer = decision.At, Next = next };
    }

    // Best effort: where it can't be done the lease ends by itself.
    async Task ReleaseAsync(HookCall call)
    {
        try
        {
            await HookCallTable.ReleaseAsync(dataSource, call, clock.GetUtcNow(), CancellationToken.None);
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException or InvalidOperationException)
        {
            NotReleased(log, call.CallId, exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Hook {Type} {CallId}: {Outcome} ({Status}), attempt {Attempt}")]
    static partial void Answered(ILogger logger, string type, Guid callId, string outcome, int? status, int attempt);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Hook {Type} {CallId} of organization {OrgId} has failed: {Outcome}")]
    static partial void Failed(ILogger logger, string type, Guid callId, Guid orgId, string outcome);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The lease of hook call {CallId} could not be ended ({Reason}); it ends by itself")]
    static partial void NotReleased(ILogger logger, Guid callId, string reason);
}
