using System.Text;
using Pulse.Hosting;

namespace Pulse.Ingress.Stripe;

/// <summary>How the webhook endpoint takes events.</summary>
sealed record StripeWebhookOptions
{
    public const string Variable = "PULSE_STRIPE_WEBHOOK_SECRET";

    /// <summary>Each of them may sign: while a secret is exchanged there are two.</summary>
    public required IReadOnlyList<byte[]> Secrets { get; init; }

    /// <summary>How far the time in a signature may be from ours, before and after.</summary>
    public TimeSpan Tolerance { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>Of one body, bytes.</summary>
    public int BodyMost { get; init; } = 512 * 1024;

    /// <summary>
    /// Verified events that may wait for Postgres. Who comes when there are as many is refused at once: Stripe repeats, and
    /// a queue that grows only makes everybody's answer late. Times the largest body this is 128 MiB.
    /// </summary>
    public int WaitingMost { get; init; } = 256;

    /// <returns>Null when no secret is set: the endpoint is not there then.</returns>
    public static StripeWebhookOptions? Read(Settings settings)
    {
        var secrets = settings.Secrets(Variable, "what Stripe signs with, such as whsec_…; several are separated by commas");
        return secrets is null ? null : new StripeWebhookOptions { Secrets = [.. secrets.Select(Encoding.UTF8.GetBytes)] };
    }
}
