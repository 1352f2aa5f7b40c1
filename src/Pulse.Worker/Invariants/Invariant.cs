namespace Pulse.Worker.Invariants;

/// <summary>A sentence about the database that is true whatever was killed when, and the query that looks for what breaks it.</summary>
/// <param name="Name">Stable: the gauge's label, and what an operator searches for.</param>
/// <param name="Promise">What holds.</param>
/// <param name="Sql">Selects the ids, as text, of what breaks it. Its parameters are those of <see cref="InvariantTable"/>.</param>
/// <param name="WhatToDo">When it is broken.</param>
sealed record Invariant(string Name, string Promise, string Sql, string WhatToDo);

/// <summary>What one look found.</summary>
/// <param name="Count">How many break it; 0 when it holds.</param>
/// <param name="Samples">Up to ten of their ids. Ids only: no personal data gets into a log or a terminal this way.</param>
sealed record Finding(Invariant Invariant, long Count, IReadOnlyList<string> Samples)
{
    public bool Holds => Count == 0;
}

/// <summary>How much is looked at, and what counts as late.</summary>
sealed record InvariantScope
{
    public required DateTimeOffset Now { get; init; }

    /// <summary>Only what belongs to signups accepted since; null for all that there is.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>From this age on a signup must have ended.</summary>
    public required TimeSpan UnfinishedAfter { get; init; }

    /// <summary>From this age on a due message must have left the outbox.</summary>
    public required TimeSpan OutboxAfter { get; init; }

    /// <summary>How far back every consumed message is still remembered.</summary>
    public required TimeSpan InboxKept { get; init; }
}
