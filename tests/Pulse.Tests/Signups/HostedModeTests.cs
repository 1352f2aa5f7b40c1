using Pulse.Hosting;
using Pulse.Ingress;

namespace Pulse.Tests.Signups;

public sealed class HostedModeTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Theory]
    [InlineData("PULSE_HOSTED_MODE=false")]
    [InlineData("PULSE_HOSTED_MODE=")]
    public async Task With_hosted_mode_off_nothing_hosted_is_there(string mode)
    {
        await using var ingress = await StartAsync(mode);

        await (await ingress.SignupAsync(Some.Signup)).IsProblem(404, "not_found");
        await (await ingress.SignupAsync("nonsense"u8.ToArray())).IsProblem(404, "not_found");
        foreach (var method in (string[])["GET", "PUT", "OPTIONS"])
        {
            using var request = new HttpRequestMessage(new HttpMethod(method), "/api/public/signup");
            await (await ingress.Http.SendAsync(request)).IsProblem(404, "not_found");
        }

        await (await ingress.Http.GetAsync("/api/public/signup/01900000-0000-7000-8000-000000000000")).IsProblem(404, "not_found");
        Assert.Equal(200, (int)(await ingress.Http.GetAsync("/health/ready")).StatusCode);
        Assert.Equal(200, (int)(await ingress.Http.GetAsync("/health/live")).StatusCode);
    }

    [Theory]
    [InlineData("PULSE_HOSTED_MODE=True")]
    [InlineData("PULSE_HOSTED_MODE=1")]
    [InlineData("PULSE_TRUSTED_PROXIES=everyone")]
    [InlineData("PULSE_TRUSTED_PROXIES=10.0.0.0/99")]
    [InlineData("PULSE_PASSWORD_HASH_ITERATIONS=99999")]
    [InlineData("PULSE_PASSWORD_HASH_ITERATIONS=5000001")]
    [InlineData("PULSE_PASSWORD_HASH_CONCURRENCY=0")]
    [InlineData("PULSE_POSTGRES=")]
    [InlineData("PULSE_POSTGRES=postgresql://")]
    [InlineData("PULSE_INGRESS_URL=ftp://x")]
    public void A_wrong_setting_stops_the_start_and_is_named(string variable)
    {
        string[] args = ["--PULSE_POSTGRES=postgresql://user:sesame@host/db", $"--{variable}"];

        var mistakes = Assert.Throws<SettingsException>(() => IngressProcess.Build(args)).Mistakes;

        Assert.StartsWith(variable.Split('=')[0] + " ", Assert.Single(mistakes), StringComparison.Ordinal);
        Assert.DoesNotContain("sesame", mistakes[0], StringComparison.Ordinal);
    }
}
