namespace Pulse.Tests.Lifecycle;

/// <summary>
/// What an organization's life should be, told once more and in other words than the code's: a list of facts, and questions to them. It knows
/// no SQL and none of Pulse's types.
/// </summary>
sealed class LifecycleModel
{
    sealed record Deletion(Guid Id, DateTimeOffset Ends, bool WasSuspended);

    readonly List<string> _audit = [];
    readonly List<string> _moves = [];
    Deletion? _deletion;
    bool _suspended;
    bool _held;
    DateTimeOffset? _purgeBegan;

    /// <summary>Everything that was to be written into the audit log, in its order.</summary>
    public IReadOnlyList<string> Audit => _audit;

    /// <summary>Every change of status that was to be told.</summary>
    public IReadOnlyList<string> Moves => _moves;

    public bool IsPurging => _purgeBegan is not null;

    public bool IsPurged { get; private set; }

    /// <summary>Its rows are gone: nobody knows it any more.</summary>
    public bool IsGone { get; private set; }

    public bool IsHeld => _held;

    public string Status => IsPurged ? "purged" : IsPurging ? "purging" : Told;

    string Told => _deletion is not null ? "pending_deletion" : _suspended ? "suspended" : "active";

    /// <summary>An operator's command takes effect now.</summary>
    /// <returns>How it ends: <c>succeeded</c>, or a problem's code.</returns>
    public string Command(string verb, Guid operation, int days, DateTimeOffset now)
    {
        if (IsGone)
            return "not_found";

        var before = Told;
        string? problem = null;
        switch (verb)
        {
            case "suspend":
                if (_deletion is not null)
                    problem = "pending_deletion";
                else if (_suspended)
                    problem = "already_suspended";
                else
                    _suspended = true;
                break;
            case "unsuspend":
                if (_deletion is not null || !_suspended)
                    problem = "not_suspended";
                else
                    _suspended = false;
                break;
            case "soft-delete":
                if (_deletion is not null)
                    problem = "already_pending_deletion";
                else
                    _deletion = new Deletion(operation, now.AddDays(days), _suspended);
                break;
            case "restore":
                if (_deletion is null)
                    problem = "not_pending_deletion";
                else if (IsPurging)
                    problem = "purge_started";
                else
                    (_suspended, _deletion) = (_deletion.WasSuspended, null);
                break;
            case "hold":
                if (IsPurging)
                    problem = "purge_started";
                else if (_held)
                    problem = "already_on_legal_hold";
                else
                    _held = true;
                break;
            case "release":
                if (!_held)
                    problem = "not_on_legal_hold";
                else
                    _held = false;
                break;
        }

        if (problem is not null)
            return problem;

        _audit.Add(verb switch
        {
            "suspend" => "organization_suspended",
            "unsuspend" => "organization_unsuspended",
            "soft-delete" => "organization_deleted",
            "restore" => "organization_restored",
            "hold" => "legal_hold_placed",
            _ => "legal_hold_released",
        });
        if (before != Told)
            _moves.Add($"{before}→{Told}");
        return "succeeded";
    }

    /// <summary>A timer comes, its own or the sweep's. Nothing else begins a purge.</summary>
    public void Timer(Guid deletion, DateTimeOffset now)
    {
        if (_deletion?.Id != deletion || IsPurging || _held || now < _deletion.Ends)
            return;

        _purgeBegan = now;
        _audit.Add("purge_started");
    }

    /// <summary>A step of the purge was told to be done. The first time it counts.</summary>
    public void Step(string action)
    {
        if (!IsPurging || _audit.Contains(action))
            return;

        _audit.Add(action);
        IsGone |= action == "organization_rows_deleted";
        if (action != "organization_purged")
            return;

        IsPurged = true;
        _moves.Add("pending_deletion→purged");
    }

    /// <summary>Whether nothing but time is between it and its purge.</summary>
    public bool WillBePurged => _deletion is not null && !_held;
}
