using System.Net;

namespace Pulse.Demo;

sealed class Readiness(Surroundings surroundings)
{
    public async Task BothProcessesAnswer(Observations step)
    {
        foreach (var (name, url) in new[] { ("ingress", surroundings.Ingress), ("worker", surroundings.Worker) })
        {
            using var response = await surroundings.Http.GetAsync(new Uri(url, "/health/ready"));
            step.Check(response.StatusCode == HttpStatusCode.OK,
                $"{name} {url}health/ready answers {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
        }
    }
}
