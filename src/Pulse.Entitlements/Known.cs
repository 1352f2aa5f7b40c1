using System.Collections.Frozen;

namespace Pulse.Entitlements;

/// <summary>What was read of one organization: one row of <c>pulse.entitlements_v1</c>, or that there is none. Never changes.</summary>
sealed class Known
{
    /// <summary>0 when there is no such organization.</summary>
    public long Version { get; init; }
    public required bool Exists { get; init; }
    public string Lifecycle { get; init; } = "active";
    public bool Unlimited { get; init; }
    public Timeline Timeline { get; init; } = Timeline.Empty;
    public DateTimeOffset? VerifiedAt { get; init; }

    /// <summary>When its query began, UTC ticks of the reader's clock: what was committed before is in it.</summary>
    public required long ReadAt { get; init; }

    /// <summary>Which connection to the announcements stood when its query began. After a gap everything may have changed.</summary>
    public required int Generation { get; init; }

    /// <summary>Why everything is denied at a time; null when the capabilities decide.</summary>
    public string? Denial(Segment? segment)
    {
        if (!Exists)
            return DenialReason.OrgNotFound;
        if (Lifecycle != "active")
        {
            return Lifecycle switch
            {
                "suspended" => DenialReason.OrgSuspended,
                "pending_deletion" => DenialReason.OrgPendingDeletion,
                _ => DenialReason.OrgInactive,
            };
        }

        return Unlimited || segment is { Access: true } ? null : DenialReason.SubscriptionRequired;
    }

    /// <summary>Why it may not do this at that time, or anything at all when no capability is named; null when it may.</summary>
    public string? Denial(string? capability, long now)
    {
        var segment = Timeline.At(now);
        return Denial(segment)
            ?? (capability is null || Unlimited || segment!.Capabilities.Contains(capability) ? null : DenialReason.CapabilityMissing);
    }
}

/// <summary>What an organization may do from a moment on.</summary>
sealed class Segment
{
    /// <summary>UTC ticks.</summary>
    public required long From { get; init; }
    public required string State { get; init; }
    public required bool Access { get; init; }
    public required string PlanVersion { get; init; }
    public required FrozenSet<string> Capabilities { get; init; }
    public required FrozenDictionary<string, long> Limits { get; init; }
    public required string[] Meters { get; init; }
    public DateTimeOffset? TrialEndsAt { get; init; }
    public DateTimeOffset? GraceUntil { get; init; }
    public required string Source { get; init; }
}

/// <summary>Segments by their beginning, so that a boundary takes effect at its time with nobody's help.</summary>
sealed class Timeline
{
    public static readonly Timeline Empty = new([]);

    readonly Segment[] _segments;

    public Timeline(IEnumerable<Segment> segments) => _segments = [.. segments.OrderBy(segment => segment.From)];

    /// <summary>The last one that has begun. A reader whose clock is behind the writer's gets the first: it is in force already.</summary>
    public Segment? At(long now)
    {
        var segments = _segments;
        for (var i = segments.Length - 1; i >= 0; i--)
        {
            if (segments[i].From <= now)
                return segments[i];
        }

        return segments.Length > 0 ? segments[0] : null;
    }

    /// <summary>When the next one begins, UTC ticks; null when none does.</summary>
    public long? NextAfter(long now)
    {
        // The first one is in force even before its time.
        for (var i = 1; i < _segments.Length; i++)
        {
            if (_segments[i].From > now)
                return _segments[i].From;
        }

        return null;
    }
}
