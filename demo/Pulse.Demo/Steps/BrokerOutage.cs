using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Pulse.Demo;

/// <summary>The broker dies, signups go on, the broker comes back.</summary>
sealed class BrokerOutage(Surroundings surroundings)
{
    readonly SignupApi _api = new(surroundings);
    Guid _signupId;

    public async Task SignupIsAccepted(Observations step)
    {
        var killed = await Kill();
        await Poll.Until("RabbitMQ's port closed", TimeSpan.FromSeconds(15), async () => await Answers() ? null : "closed");
        step.Check(true, $"RabbitMQ ({killed}) was killed: its port is closed");

        var answer = await _api.SignUp(SignupApi.SomeEmail(), "Demo outage");
        step.Check(answer.Status == HttpStatusCode.Accepted, $"POST /api/public/signup answers {(int)answer.Status} {answer.Body}");
        _signupId = answer.SignupId;

        step.Check(await TenantRows.CountWaiting(surroundings.Postgres, _signupId) == 1, "its message waits in Postgres, in messaging.outbox");
        step.Check((await _api.Status(_signupId)).Text("status") == "accepted", "its status is accepted");
    }

    public async Task SignupIsProvisionedAfterwards(Observations step)
    {
        var restart = new ProcessStartInfo(Path.Combine(surroundings.Root, "pulse"), ["restart", "rabbitmq"]);
        var output = await Run(restart);
        step.Check(true, $"./pulse restart rabbitmq: {output}");

        var waited = Stopwatch.StartNew();
        var (seen, last) = await _api.Follow(_signupId, "provisioned", TimeSpan.FromSeconds(90));
        step.Check(true, $"the signup is {string.Join(" → ", seen)} after {waited.Elapsed.TotalSeconds:0.0} s: {last.Body}");
    }

    async Task<string> Kill()
    {
        if (surroundings.ComposeProject is { Length: > 0 } project)
        {
            await Run(new ProcessStartInfo("docker", ["compose", "-p", project, "kill", "rabbitmq"]));
            return $"the container of {project}";
        }

        var id = int.Parse(await File.ReadAllTextAsync(Path.Combine(surroundings.State, "pids", "rabbitmq")), CultureInfo.InvariantCulture);
        using var process = Process.GetProcessById(id);
        process.Kill();
        return $"process {id}";
    }

    async Task<bool> Answers()
    {
        using var client = new TcpClient();
        try
        {
            await client.ConnectAsync(surroundings.RabbitMq.Host, surroundings.RabbitMq.Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    static async Task<string> Run(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(120));
        await process.WaitForExitAsync(timeout.Token);
        return process.ExitCode == 0
            ? (await output).Trim()
            : throw new DoesNotHoldException($"{start.FileName} {string.Join(' ', start.ArgumentList)} ended with {process.ExitCode}: {(await error).Trim()}");
    }
}
