using Microsoft.Extensions.Configuration;
using Pulse.Hosting;
using Pulse.Worker.Hooks;

namespace Pulse.Tests.Hooks;

public sealed class HookOptionsTests
{
    const string Good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    [Fact]
    public void Without_an_address_there_is_no_hook_and_nothing_is_asked_for()
    {
        var (options, mistakes) = Read();

        Assert.Null(options.Url);
        Assert.Empty(mistakes);
    }

    [Theory]
    [InlineData($"{Good},{Good}", 2)]
    [InlineData($"{Good} {Good}", 2)]
    [InlineData($" {Good} , {Good}  {Good}", 3)]
    public void Several_secrets_are_apart_by_commas_or_spaces(string text, int count)
    {
        var (options, mistakes) = Read(("PULSE_PROVISION_HOOK_URL", "https://platform.example.org/hook"), ("PULSE_PROVISION_HOOK_SECRET", text));

        Assert.Empty(mistakes);
        Assert.Equal(count, options.Secrets.Count);
    }

    [Theory]
    [InlineData("PULSE_PROVISION_HOOK_URL", "http://platform.example.org")]
    [InlineData("PULSE_PROVISION_HOOK_URL", "ftp://platform.example.org")]
    [InlineData("PULSE_PROVISION_HOOK_URL", "https://user:sesame@platform.example.org")]
    [InlineData("PULSE_PROVISION_HOOK_URL", "https://platform.example.org/#here")]
    [InlineData("PULSE_PROVISION_HOOK_SECRET", null)]
    [InlineData("PULSE_PROVISION_HOOK_SECRET", "")]
    [InlineData("PULSE_PROVISION_HOOK_SECRET", "sesame")]
    [InlineData("PULSE_PROVISION_HOOK_SECRET", "whsec_c2VzYW1l")]
    [InlineData("PULSE_PROVISION_HOOK_SECRET", Good + ",sesame")]
    [InlineData("PULSE_HOOK_ALLOW_PRIVATE", "yes")]
    [InlineData("PULSE_PUBLIC_URL", "pulse.example.org")]
    [InlineData("PULSE_PUBLIC_URL", "https://pulse.example.org/?q=sesame")]
    [InlineData("PULSE_HOOK_TIMEOUT_SECONDS", "0")]
    [InlineData("PULSE_HOOK_TIMEOUT_SECONDS", "61")]
    [InlineData("PULSE_HOOK_ATTEMPTS", "0")]
    [InlineData("PULSE_HOOK_ATTEMPTS", "51")]
    [InlineData("PULSE_HOOK_DEADLINE_SECONDS", "9")]
    [InlineData("PULSE_HOOK_DEADLINE_SECONDS", "86401")]
    public void A_wrong_setting_is_named_and_no_secret_is_told(string name, string? value)
    {
        var (_, mistakes) = Read(("PULSE_PROVISION_HOOK_URL", "https://platform.example.org/hook"), ("PULSE_PROVISION_HOOK_SECRET", Good), (name, value));

        Assert.StartsWith(name + " ", Assert.Single(mistakes), StringComparison.Ordinal);
        if (name.EndsWith("SECRET", StringComparison.Ordinal))
            Assert.DoesNotContain("sesame", mistakes[0], StringComparison.Ordinal);
    }

    [Fact]
    public void On_a_private_network_a_hook_needs_no_tls() => Assert.Empty(Read(
        ("PULSE_PROVISION_HOOK_URL", "http://10.0.0.7/hook"), ("PULSE_PROVISION_HOOK_SECRET", Good), ("PULSE_HOOK_ALLOW_PRIVATE", "true")).Mistakes);

    static (HookOptions Options, IReadOnlyList<string> Mistakes) Read(params (string Name, string? Value)[] variables)
    {
        var values = new Dictionary<string, string?>();
        foreach (var (name, value) in variables)
            values[name] = value;
        var settings = new Settings(new ConfigurationBuilder().AddInMemoryCollection(values.Where(pair => pair.Value is not null)).Build());
        var options = HookOptions.Read(settings);
        try
        {
            settings.ThrowIfInvalid();
            return (options, []);
        }
        catch (SettingsException exception)
        {
            return (options, exception.Mistakes);
        }
    }
}
