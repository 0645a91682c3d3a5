// One job of a local endpoint: its facts, its chunks, and whoever waits for a change.
import { ChunkCutter } from "../../core/job/chunk-cutter.ts";
import type { Frame } from "../../core/job/chunk-frames.ts";
import { type JobFailure, runpodText } from "../../core/job/failure.ts";
import { showJobId } from "../../core/job/id.ts";
import { isTerminal, type JobMode, type JobStatus } from "../../core/job/job.ts";
import type { StreamCursor } from "../../core/job/stream-cursor.ts";
import { CHUNK_MAX_BYTES } from "../../core/limits.ts";
import type { OpenAiRequest } from "../../core/openai/request.ts";
import type { JobEnd } from "../read-report.ts";

/** What a client has submitted. */
export interface LocalWork {
  readonly mode: JobMode;
  readonly input: unknown;
  /** Every other field of the request. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly executionTimeoutMs: number;
  readonly ttlMs: number;
  readonly lowPriority: boolean;
  /** The call that it was made of; null: it came by RunPod's API. */
  readonly request: OpenAiRequest | null;
}

type LocalChunk = StreamCursor & Frame;

interface LocalState {
  readonly status: JobStatus;
  readonly delayMs: number | null;
  readonly executionMs: number | null;
  readonly workerId: string | null;
  readonly failure: JobFailure | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  /** JSON text: the progress of a job that runs, the output of one that is over. */
  readonly output: string | null;
  /** The output with each chunk as it came, where `output` has the pieces of the largest. */
  readonly whole: string | null;
}

/** A job before its first run, and again after a retry. */
const NOT_RUN: LocalState = {
  status: "IN_QUEUE",
  delayMs: null,
  executionMs: null,
  workerId: null,
  failure: null,
  startedAtMs: null,
  finishedAtMs: null,
  output: null,
  whole: null,
};

/** What an end brings beside its status. */
export type LocalEnd = Partial<Pick<LocalState, "failure" | "output" | "whole">>;

export class LocalJob {
  readonly id: string;
  readonly work: LocalWork;
  /** When it entered the queue, epoch ms. */
  queuedAtMs: number;
  ttlAtMs: number;
  attempts = 0;
  state = NOT_RUN;
  chunks: LocalChunk[] = [];
  #texts: string[] = [];
  /** The number of the last chunk that /stream has handed out. */
  #drained = 0;
  readonly #waiting = new Set<() => void>();

  constructor(uuid: string, work: LocalWork, nowMs: number) {
    this.id = showJobId(uuid, work.mode);
    this.work = work;
    this.queuedAtMs = nowMs;
    this.ttlAtMs = nowMs + work.ttlMs;
  }

  get isOver(): boolean {
    return isTerminal(this.state.status);
  }

  /** The failure as the text that RunPod's clients read. */
  get error(): string | null {
    const { failure } = this.state;
    return failure === null ? null : runpodText(failure, 0);
  }

  begin(workerId: string, nowMs: number): void {
    this.attempts += 1;
    const delayMs = nowMs - this.queuedAtMs;
    this.#change({ ...NOT_RUN, status: "IN_PROGRESS", delayMs, workerId, startedAtMs: nowMs });
  }

  /** `text`: JSON of the value that shows how far the job is. */
  showProgress(text: string): void {
    this.#change({ ...this.state, output: text });
  }

  /** `text`: JSON of the chunk. One that is too large is cut as a broker cuts it. */
  addChunk(text: string): void {
    const cutter = new ChunkCutter(CHUNK_MAX_BYTES);
    for (const frame of [...cutter.push(Buffer.from(text)), cutter.end()]) {
      this.chunks.push({ ...frame, attempt: this.attempts, seq: this.chunks.length + 1 });
    }
    this.#texts.push(text);
    this.#change(this.state);
  }

  /** `read`: makes the end of its report, of the chunks as they are shown, and of those that came. */
  endOf(read: (chunks: readonly string[]) => JobEnd): JobEnd & { readonly whole: string | null } {
    const isCut = this.chunks.length !== this.#texts.length;
    const end = read(isCut ? this.chunks.map(({ bytes }) => Buffer.from(bytes).toString()) : this.#texts);
    return { ...end, whole: isCut ? read(this.#texts).output : end.output };
  }

  end(status: JobStatus, nowMs: number, given: LocalEnd): void {
    const { startedAtMs } = this.state;
    const executionMs = startedAtMs === null ? null : nowMs - startedAtMs;
    this.#change({ ...this.state, output: null, ...given, status, executionMs, finishedAtMs: nowMs });
  }

  enqueueAgain(nowMs: number): void {
    const ttlMs = this.ttlAtMs - this.queuedAtMs;
    this.queuedAtMs = nowMs;
    this.ttlAtMs = nowMs + ttlMs;
    this.chunks = [];
    this.#texts = [];
    this.#drained = 0;
    this.#change(NOT_RUN);
  }

  /** The chunks that no call of this has given yet. */
  drain(): readonly LocalChunk[] {
    const rest = this.chunks.slice(this.#drained);
    this.#drained = this.chunks.length;
    return rest;
  }

  /** The JSON texts of all chunks but the first so many, as they came. */
  textsFrom(count: number): readonly string[] {
    return this.#texts.slice(count);
  }

  /** The chunks behind a place. */
  chunksAfter({ attempt, seq }: StreamCursor): readonly LocalChunk[] {
    return this.chunks.filter((chunk) => chunk.attempt > attempt || (chunk.attempt === attempt && chunk.seq > seq));
  }

  /** Resolves at the next change of the job; with false if none comes in this time, or the client goes first. */
  changed(maxMs: number, gone: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (isChange: boolean) => {
        clearTimeout(timer);
        gone.removeEventListener("abort", giveUp);
        this.#waiting.delete(wake);
        resolve(isChange);
      };
      const wake = () => settle(true);
      const giveUp = () => settle(false);
      const timer = setTimeout(giveUp, Math.max(0, maxMs));
      this.#waiting.add(wake);
      gone.addEventListener("abort", giveUp, { once: true });
      if (gone.aborted) giveUp();
    });
  }

  /** Resolves when the job is over; with false if it is not in this time, or the client goes first. */
  async over(maxMs: number, gone: AbortSignal): Promise<boolean> {
    const endMs = performance.now() + maxMs;
    while (!this.isOver && !gone.aborted && performance.now() < endMs) {
      await this.changed(endMs - performance.now(), gone);
    }
    return this.isOver;
  }

  #change(state: LocalState): void {
    this.state = state;
    for (const wake of [...this.#waiting]) wake();
  }
}
