using Microsoft.Extensions.Configuration;
using Pulse.Catalog;
using Pulse.Hosting;
using Pulse.Tests.House;

namespace Pulse.Tests.Catalog;

/// <summary>The plans file: what it gives, and what is said of a wrong one.</summary>
public sealed class PlansTests
{
    [Fact]
    public void The_example_is_a_valid_file_and_has_what_it_says()
    {
        var plans = Read(Path.Combine(Sources.Root, "deploy/plans.example.json"));
        Assert.Equal(["extra-seats-1", "pro-1", "starter-1", "trial"], plans.All.Select(plan => plan.PlanVersion));
        Assert.Equal("pro-1", plans.Find("price_1", "pro_yearly")?.PlanVersion);
        Assert.Equal(21, plans.Named("pro-1")!.GraceDays);
        Assert.True(plans.Named("extra-seats-1")!.AddOn);
        Assert.Equal(3, plans.Trial.Limits["projects"]);
        Assert.Null(plans.Find("price_1", null));
    }

    [Fact]
    public void Without_a_file_there_is_the_built_in_trial()
    {
        var plans = Read(null);
        Assert.Equal(["trial"], plans.All.Select(plan => plan.PlanVersion));
        Assert.Equal(14, plans.Trial.GraceDays);
    }

    [Fact]
    public void A_price_s_id_goes_before_its_lookup_key()
    {
        var plans = Parse("""{"plans":[{"plan_version":"a","prices":["price_1"]},{"plan_version":"b","prices":["key"]}]}""");
        Assert.Equal("a", plans.Find("price_1", "key")?.PlanVersion);
    }

    [Fact]
    public void The_hash_is_of_what_the_plans_say_and_not_of_how_it_is_written()
    {
        var plans = Parse("""{"plans":[{"plan_version":"a","prices":["p"],"limits":{"x":1,"y":2}}]}""");
        Assert.Equal(plans.Hash, Parse("""{ "plans": [ { "limits": { "y": 2, "x": 1 }, "prices": ["p"], "plan_version": "a" } ] /* the same */ }""").Hash);
        Assert.NotEqual(plans.Hash, Parse("""{"plans":[{"plan_version":"a","prices":["p"],"limits":{"x":1,"y":3}}]}""").Hash);
    }

    [Theory]
    [InlineData("""{"plans":[""", "line 1: it is not JSON")]
    [InlineData("""[]""", "the file must be an object")]
    [InlineData("""{}""", "plans must be there, a list of plans.")]
    [InlineData("""{"plans":{}}""", "plans must be there, a list of plans.")]
    [InlineData("""{"plans":[],"trail":{}}""", "the file.trail is not known; trial, plans are what there can be.")]
    [InlineData("""{"plans":[1]}""", "plans[0] must be an object")]
    [InlineData("""{"plans":[{"prices":["p"]}]}""", "plans[0].plan_version must be there.")]
    [InlineData("""{"plans":[{"plan_version":"a"}]}""", "plans[0].prices must name one price id or lookup key at least.")]
    [InlineData("""{"plans":[{"plan_version":" a","prices":["p"]}]}""", "plans[0].plan_version is \" a\", but must be a text")]
    [InlineData("""{"plans":[{"plan_version":"trial","prices":["p"]}]}""", "plans[0].plan_version is 'trial', as trial is.")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"]},{"plan_version":"a","prices":["q"]}]}""", "plans[1].plan_version is 'a', as plans[0].plan_version is.")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"]},{"plan_version":"b","prices":["q","p"]}]}""", "plans[1].prices[1] is 'p', as plans[0].prices[0] is.")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"capabilities":"all"}]}""", "plans[0].capabilities must be a list of texts.")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"capabilities":["x",7]}]}""", "plans[0].capabilities[1] is 7, but must be a text")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"capabilities":["x","x"]}]}""", "plans[0].capabilities[1] is 'x', as plans[0].capabilities[0] is.")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"limits":{"seats":"many"}}]}""", "plans[0].limits.seats is \"many\", but must be a whole number from 0 on")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"limits":{"seats":-1}}]}""", "plans[0].limits.seats is -1")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"limits":{"seats":1.5}}]}""", "plans[0].limits.seats is 1.5")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"limits":{"seats":1,"seats":2}}]}""", "plans[0].limits.seats is there twice.")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"grace_days":366}]}""", "plans[0].grace_days is 366, but must be a whole number from 0 to 365.")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"add_on":"yes"}]}""", "plans[0].add_on is \"yes\", but must be true or false.")]
    [InlineData("""{"plans":[{"plan_version":"a","prices":["p"],"capabilites":[]}]}""", "plans[0].capabilites is not known")]
    [InlineData("""{"plans":[],"trial":{"grace_days":3}}""", "trial.grace_days is not known")]
    public void A_wrong_file_is_told_by_variable_file_place_and_mistake(string text, string told)
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, text);
            var mistakes = Assert.Throws<SettingsException>(() => Read(file)).Mistakes;
            Assert.StartsWith($"PULSE_PLANS_FILE is {file}: {told}", Assert.Single(mistakes), StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Every_mistake_is_told_at_once()
    {
        Assert.Null(PlansFile.Parse("""{"plans":[{"plan_version":"a"},{"prices":["p"],"grace_days":-1}]}""", out var mistakes));
        Assert.Equal(3, mistakes.Count);
    }

    [Fact]
    public void A_file_that_is_not_there_is_told() => Assert.StartsWith(
        "PULSE_PLANS_FILE is /nowhere/plans.json, which can't be read: ",
        Assert.Single(Assert.Throws<SettingsException>(() => Read("/nowhere/plans.json")).Mistakes), StringComparison.Ordinal);

    static Plans Parse(string text) => PlansFile.Parse(text, out _)!;

    static Plans Read(string? file)
    {
        var settings = new Settings(new ConfigurationBuilder().AddInMemoryCollection([new("PULSE_PLANS_FILE", file)]).Build());
        var plans = Plans.Read(settings);
        settings.ThrowIfInvalid();
        return plans;
    }
}
