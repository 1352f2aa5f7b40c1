namespace Pulse.Ingress.Signups;

/// <summary>What became of a valid request.</summary>
abstract record SignupOutcome
{
    /// <summary>Stored. The answer is the same whether it will have an effect or not.</summary>
    public sealed record Accepted(Guid SignupId, WindowState Client) : SignupOutcome;

    /// <summary>Was stored before, under the same key and with the same body.</summary>
    public sealed record Repeated(Guid SignupId) : SignupOutcome;

    /// <summary>The key was used for another body.</summary>
    public sealed record KeyReused : SignupOutcome;

    /// <summary>Another request with the key is being stored.</summary>
    public sealed record InFlight : SignupOutcome;

    /// <summary>Too many from one address.</summary>
    public sealed record RateLimited(WindowState Client) : SignupOutcome;

    /// <summary>No turn to hash its password in time.</summary>
    public sealed record Busy : SignupOutcome;
}
