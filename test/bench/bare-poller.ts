// What an idle worker is compared with: it asks for jobs, one held poll after the other, and does nothing else.
const { RUNPOD_WEBHOOK_GET_JOB = "", RUNPOD_POD_ID = "", RUNPOD_AI_API_KEY = "" } = process.env;
const url = `${RUNPOD_WEBHOOK_GET_JOB.replaceAll("$ID", RUNPOD_POD_ID)}&job_in_progress=0`;

while (true) {
  const answer = await fetch(url, { headers: { authorization: RUNPOD_AI_API_KEY } });
  await answer.text();
}

export {};
