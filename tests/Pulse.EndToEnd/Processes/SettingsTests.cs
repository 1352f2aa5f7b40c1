using System.Net;
using System.Net.Http.Json;
using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>A process with a wrong setting does not start, and says which. Without a server: it must not get so far as to need one.</summary>
public sealed class SettingsTests
{
    const string Nowhere = "postgresql://nobody:nothing@127.0.0.1:1/none";
    const string NoBroker = "amqp://nobody:nothing@127.0.0.1:1/none";

    [Theory]
    [InlineData("PULSE_HOSTED_MODE", "yes")]
    [InlineData("PULSE_POSTGRES", "nonsense")]
    [InlineData("PULSE_POSTGRES", null)]
    [InlineData("PULSE_INGRESS_URL", "http//nowhere")]
    [InlineData("PULSE_TRUSTED_PROXIES", "10.0.0.0/99")]
    [InlineData("PULSE_PASSWORD_HASH_ITERATIONS", "1")]
    [InlineData("PULSE_CLOCK_FILE", "/tmp/clock")]
    public async Task An_ingress_with_a_wrong_setting_does_not_start(string name, string? value)
    {
        await using var ingress = ChildProcess.Ingress(("PULSE_POSTGRES", Nowhere), ("PULSE_HOSTED_MODE", "true"), (name, value));
        await RefusesAsync(ingress, name);
    }

    [Theory]
    [InlineData("PULSE_POSTGRES", "nonsense")]
    [InlineData("PULSE_RABBITMQ", null)]
    [InlineData("PULSE_RABBITMQ", "localhost:5672")]
    [InlineData("PULSE_WORKER_CONCURRENCY", "0")]
    [InlineData("PULSE_PROVISIONING_OVERDUE_SECONDS", "4")]
    [InlineData("PULSE_PROVISIONING_ATTEMPTS", "0")]
    [InlineData("PULSE_CLOCK_FILE", "/tmp/clock")]
    public async Task A_worker_with_a_wrong_setting_does_not_start(string name, string? value)
    {
        await using var worker = ChildProcess.Worker(("PULSE_POSTGRES", Nowhere), ("PULSE_RABBITMQ", NoBroker), (name, value));
        await RefusesAsync(worker, name);
    }

    [Fact]
    public async Task Every_wrong_setting_is_named_at_once()
    {
        await using var worker = ChildProcess.Worker(("PULSE_POSTGRES", null), ("PULSE_RABBITMQ", "nonsense"), ("PULSE_WORKER_CONCURRENCY", "many"));
        Assert.Equal(2, await worker.EndAsync(TimeSpan.FromSeconds(60)));
        foreach (var name in new[] { "PULSE_POSTGRES", "PULSE_RABBITMQ", "PULSE_WORKER_CONCURRENCY" })
            Assert.Contains(name, worker.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_address_is_not_repeated_for_it_may_hold_a_password()
    {
        await using var worker = ChildProcess.Worker(("PULSE_POSTGRES", "postgresql://pulse:s3cret@:5432"), ("PULSE_RABBITMQ", "ampq://pulse:s3cret@localhost"));
        Assert.Equal(2, await worker.EndAsync(TimeSpan.FromSeconds(60)));
        Assert.DoesNotContain("s3cret", worker.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("false")]
    [InlineData(null)]
    public async Task Without_hosted_mode_there_is_no_signup(string? mode)
    {
        await using var ingress = ChildProcess.Ingress(("PULSE_POSTGRES", Nowhere), ("PULSE_HOSTED_MODE", mode));
        using var http = new HttpClient { BaseAddress = ingress.Url };
        // Not ready without Postgres, but alive.
        await Eventually.Until(
            async () =>
            {
                Assert.True(ingress.Running, ingress.Output);
                return await Health.ReadyAsync(ingress.Url) is not null;
            },
            TimeSpan.FromSeconds(60), "the ingress listens");

        using var post = await http.PostAsJsonAsync("/api/public/signup", new { email = Some.Email, org_name = "An org" });
        Assert.Equal(HttpStatusCode.NotFound, post.StatusCode);
        using var get = await http.GetAsync(new Uri($"/api/public/signup/{Guid.CreateVersion7()}", UriKind.Relative));
        Assert.Equal(HttpStatusCode.NotFound, get.StatusCode);
        using var live = await http.GetAsync(new Uri("/health/live", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, live.StatusCode);
    }

    static async Task RefusesAsync(ChildProcess process, string name)
    {
        Assert.Equal(2, await process.EndAsync(TimeSpan.FromSeconds(60)));
        Assert.Contains(process.Output.Split('\n'), line => line.StartsWith(name + " is ", StringComparison.Ordinal) || line.StartsWith(name + " has ", StringComparison.Ordinal));
    }
}
