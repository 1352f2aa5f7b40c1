using Pulse.Worker.Dlq;

namespace Pulse.Tests.Dlq;

public sealed class DlqOptionsTests
{
    const string Id = "01900000-0000-7000-8000-000000000000";

    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("list extra")]
    [InlineData("list --nonsense x")]
    [InlineData("list --queue")]
    [InlineData("list --queue a --queue b")]
    [InlineData("list --yes")]
    [InlineData("show")]
    [InlineData("show x")]
    [InlineData("show " + Id + " " + Id)]
    [InlineData("replay")]
    [InlineData("replay --all --queue a")]
    [InlineData("replay " + Id + " --all")]
    [InlineData("discard --all")]
    [InlineData("discard --say why")]
    [InlineData("start")]
    public void A_command_line_that_may_mean_something_else_is_refused(string line)
    {
        Assert.Null(DlqOptions.Read(line.Split(' ', StringSplitOptions.RemoveEmptyEntries), out var mistake));
        Assert.NotEmpty(mistake);
    }

    [Theory]
    [InlineData("list")]
    [InlineData("list --queue=billing-sync --status open --json")]
    [InlineData("replay --all")]
    [InlineData("replay --q words --yes --rate 0 --canary 3 --stop-ratio 0.5")]
    [InlineData("discard " + Id + " --say why")]
    [InlineData("show " + Id + " --reveal")]
    public void One_that_means_one_thing_is_read(string line) => Assert.NotNull(DlqOptions.Read(line.Split(' '), out _));

    [Fact]
    public void Columns_stand_under_each_other_and_numbers_to_the_right() => Assert.Equal("""
        name    all
        a         7
        longer  123
        """, DlqTable.Of(["name", "#all"], [["a", "7"], ["longer", "123"]]), ignoreLineEndingDifferences: true);

    [Fact]
    public void Nothing_that_was_written_by_others_moves_the_cursor() =>
        Assert.Equal("a [31m b", DlqTable.Cell(System.Text.Json.Nodes.JsonValue.Create("a\u001b[31m\nb"))!.Replace("  ", " ", StringComparison.Ordinal));

    [Theory]
    [InlineData(0, "[······························]")]
    [InlineData(50, "[███████████████···············]")]
    [InlineData(100, "[██████████████████████████████]")]
    public void The_bar_is_as_long_as_its_part(int percent, string bar) => Assert.Equal(bar, ReplayFollower.Bar(percent));
}
