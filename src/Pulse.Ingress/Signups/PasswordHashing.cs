using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;
using Pulse.Hosting;

namespace Pulse.Ingress.Signups;

/// <summary>How dear a password's hash is, and how many are made at once.</summary>
/// <param name="Iterations">Of PBKDF2-HMAC-SHA512.</param>
/// <param name="Concurrency">Each keeps one core busy.</param>
/// <param name="Patience">How long a request waits for its turn.</param>
sealed record PasswordHashingOptions(int Iterations, int Concurrency, TimeSpan Patience)
{
    public static PasswordHashingOptions Read(Settings settings) => new(
        settings.Number("PULSE_PASSWORD_HASH_ITERATIONS", otherwise: 210_000, least: 100_000, most: 5_000_000),
        settings.Number("PULSE_PASSWORD_HASH_CONCURRENCY", otherwise: Math.Max(1, Environment.ProcessorCount / 2), least: 1, most: 256),
        TimeSpan.FromSeconds(10));
}

/// <summary>Hashes passwords, a few at a time: a burst of them must not take the processor from requests that need none.</summary>
sealed class PasswordHashing(PasswordHashingOptions options) : IDisposable
{
    readonly SemaphoreSlim _turns = new(options.Concurrency);

    readonly PasswordHasher<ValidSignup> _hasher = new(Options.Create(new PasswordHasherOptions
    {
        CompatibilityMode = PasswordHasherCompatibilityMode.IdentityV3,
        IterationCount = options.Iterations,
    }));

    /// <summary>The hash of a signup's password, or null when there was no turn in time.</summary>
    public async Task<string?> HashAsync(ValidSignup signup, string password, CancellationToken cancellationToken)
    {
        if (!await _turns.WaitAsync(options.Patience, cancellationToken))
            return null;

        try
        {
            return await Task.Run(() => _hasher.HashPassword(signup, password), CancellationToken.None);
        }
        finally
        {
            _turns.Release();
        }
    }

    public void Dispose() => _turns.Dispose();
}
