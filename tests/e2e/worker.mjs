// Runs jobs of a joblog server in Node (18 or newer), without packages:
//
//     import { work } from "./worker.mjs";
//     await work("http://127.0.0.1:8080", { thumbnail: async (payload, attempt) => ({ bytes: 2048 }) });
//
// To return completes the job. To throw fails the attempt: for good with `error.permanent`, until so
// many seconds later with `error.retryAfter`. `attempt.signal` is aborted when the work is not wanted
// any more: its time is over, it was cancelled, the claim was lost, or we are told to stop (SIGTERM).
import { setTimeout as sleep } from "node:timers/promises";

export async function work(url, handlers, { token, worker = `node-${process.pid}` } = {}) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  let stop = new AbortController(); // of what we are at: waiting for a job, or working on one
  let leaving = false;
  const leave = () => { leaving = true; stop.abort("released"); };
  process.once("SIGTERM", leave).once("SIGINT", leave);

  async function post(path, body, signal) { // null when there is no server, or it is in trouble
    try {
      const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body), signal });
      const text = await answer.text();
      return answer.status < 500 ? { status: answer.status, text, said: text && JSON.parse(text) } : null;
    } catch {
      return null;
    }
  }

  while (!leaving) {
    stop = new AbortController();
    const sentAt = performance.now();
    const answer = await post("/claims", { kinds: Object.keys(handlers), worker, wait: 30 }, stop.signal);
    if (answer?.status === 200) await attempt(answer.said.claims[0], sentAt + answer.said.waited_s * 1000);
    else if (answer && answer.status !== 204) throw new Error(`/claims: ${answer.text}`); // a wrong token, say
    else if (!answer && !leaving) await sleep(1000);
  }

  async function attempt({ job, token, attempt: number, lease_s, timeout_s }, since) {
    const lease_ms = lease_s * 1000; // from `since` on the claim is ours for so long, unless renewed
    const renewing = setInterval(async () => {
      const sentAt = performance.now();
      if (sentAt >= since + lease_ms) return stop.abort("lost"); // by now another may have it
      const answer = await post(`/claims/${job.id}/renew`, { token }, stop.signal);
      if (answer?.status === 409) return stop.abort("lost");
      if (answer?.status === 200) since = sentAt;
      if (answer?.said.cancel_requested) stop.abort("cancelled");
    }, lease_ms / 3);
    const limit = setTimeout(() => stop.abort("timeout"), timeout_s * 1000);
    const stopped = new Promise((_, reject) => stop.signal.addEventListener("abort", reject));
    try {
      stop.signal.throwIfAborted(); // we were told to stop just as the job came
      const working = handlers[job.kind](job.payload, { jobId: job.id, number, token, signal: stop.signal });
      await settle(job.id, "complete", { token, result: await Promise.race([working, stopped]) });
    } catch (error) {
      if (stop.signal.reason !== "lost") await settle(job.id, "fail", { token, ...failure(error) });
    } finally {
      [renewing, limit].forEach(clearTimeout);
    }
  }

  async function settle(id, verb, outcome) {
    let answer;
    while (!(answer = await post(`/claims/${id}/${verb}`, outcome))) await sleep(1000);
    if (answer.status === 200 || answer.status === 409) return; // 409: the claim is lost, and all we have to say
    throw Object.assign(new Error(`${verb}: ${answer.text}`), { permanent: true }); // no fit result, say
  }

  function failure(error) {
    const reason = stop.signal.reason;
    if (reason === "timeout") return { error: { class: "TimeoutError", message: "its time was over" } };
    if (reason) return { reason, error: { class: reason } };
    const { name, message, stack, permanent, retryAfter } = error instanceof Error ? error : new Error(error);
    return { error: { class: name, message, traceback: stack }, permanent, retry_after_s: retryAfter };
  }
}
