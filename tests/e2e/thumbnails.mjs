// The worker of test_javascript_worker.py: as a user would write one, with work that does as its
// payload says. It prints a line for each attempt that it begins, and one when it is stopped.
import { work } from "./worker.mjs";

async function thumbnail(payload, attempt) {
  console.log(JSON.stringify({ attempt: attempt.number, job: attempt.jobId, token: attempt.token }));
  const stopped = () => console.log(`stopped: ${attempt.signal.reason}`);
  attempt.signal.addEventListener("abort", stopped);
  try {
    return await thumbnailOf(payload, attempt);
  } finally {
    attempt.signal.removeEventListener("abort", stopped); // no more is there anything to stop
  }
}

async function thumbnailOf(payload, attempt) {
  if (payload.hangs >= attempt.number) await new Promise((done) => setTimeout(done, 3_600_000));
  if (payload.fails >= attempt.number) {
    throw Object.assign(new RangeError(`attempt ${attempt.number}`), payload.error);
  }
  if (payload.result_bytes) return "x".repeat(payload.result_bytes);
  return { bytes: payload.width * payload.width, worker: "node" };
}

await work(process.env.JOBLOG_URL, { thumbnail });
console.log("left");
process.exit(); // work that does not listen to its signal would keep us
