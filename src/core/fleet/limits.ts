// Limits of a fleet, each with its reason. All other limits stand in core/limits.ts.

/** What RunPod's guide promises for an endpoint that says nothing: a worker ends when it has had no job for so long. */
export const IDLE_DEFAULT_MS = 5_000;
/** RunPod's time for a worker to fetch its image, load its model and ask for a job; `RUNPOD_INIT_TIMEOUT` sets another one. */
export const INIT_DEFAULT_MS = 420_000;
/** A worker is ended after a day, whatever it does: a machine that nobody remembers must not be paid for ever. */
export const LIFETIME_DEFAULT_MS = 24 * 3_600_000;
/** A worker gets no more jobs for this long, or a tenth of its machine's life, before the hard end: most jobs are done in minutes. */
export const RETIRE_BEFORE_MS = 10 * 60_000;
/** A stopped worker keeps its disk, which is paid: one that was not needed for an hour is not kept for the next hour. */
export const STOPPED_KEPT_MS = 3_600_000;

/** Calls to one provider at once: vendors allow one a second, and a call takes about that long. */
export const CALLS_MAX = 4;
/** A provider that keeps all its calls waiting for longer than this holds up no job that another one could run. */
export const CALL_SLOW_AFTER_MS = 10_000;
/** A call that has no answer after this will have none: our own call ends after 30 s, and the rest is for a slow start of ours. */
export const CALL_LOST_AFTER_MS = 60_000;
/** A list may lack what was created shortly before: vendors answer it from copies that follow their records. */
export const LIST_LAG_MS = 30_000;
/** What a create with an unclear answer may have made is looked for as long as this, and ended when it turns up. */
export const UNCLEAR_KEPT_MS = 10 * 60_000;
/** While something is there its provider is asked in this interval what there is. Vendors allow 60 calls a minute. */
export const FLEET_SWEEP_EVERY_MS = 60_000;
/** While a list is waited for, such as after an end, the next one comes after this. */
export const LIST_AGAIN_MS = 5_000;
/**
 * While a worker starts, until its machine was shown with the provider's own id, and when the worker has lost a job by its silence: the
 * machine may have failed, which the provider tells, and can be ended by that id alone. A start takes a minute or several.
 */
export const LIST_STARTING_MS = 10_000;
/** The first look for a machine that its create's or start's answer has not shown: a worker that is ready in 300 ms waits for it to be called. */
export const LIST_UNSHOWN_MS = 500;

/** A failed call is repeated after 2 s at first and after 2 min at last: a vendor's outage lasts minutes. */
export const RETRY_BASE_MS = 2_000;
export const RETRY_MAX_MS = 120_000;
/**
 * What a machine's end has failed of for long, such as a revoked key, is mended by a person or never: each pause is a 24th of the time since
 * the machine was to end, so that it is paid for little longer than it was anyway, and an hour at most.
 */
export const ENDS_PAUSE_SHARE = 24;
export const ENDS_PAUSE_MAX_MS = 3_600_000;
/** A machine that ends is shown to nobody for so long: its end, and the list that shows it as gone, take a minute or so. */
export const END_SHOWN_AFTER_MS = 120_000;
/** A provider that has nothing to give is asked again after this: capacity comes back in minutes, and a call costs nothing. */
export const NO_CAPACITY_MS = 60_000;
/** A refused key or an unpaid account is mended by a person, who is not kept waiting for longer than this. */
export const REFUSED_MS = 300_000;
/** A provider may ask for a longer pause than this, and is asked again all the same: its figure may be a mistake. */
export const PROVIDER_WAIT_MAX_MS = 600_000;
/** A provider's pause puts off the ends of machines for no longer than this, because each of them is paid until then. */
export const ENDS_WAIT_MAX_MS = 10_000;
/** Workers that fail their start: the next one is begun after 5 s at first, and after 10 min at last, because each of them is paid. */
export const CRASH_BASE_MS = 5_000;
export const CRASH_MAX_MS = 600_000;
/**
 * A worker that is lost after this long has not failed its start, though it has run nothing: it may have been idle. A first job that ends its process does so sooner.
 */
export const START_JUDGED_MS = 10 * 60_000;
/** So many failed starts in a row are a crash loop, and no longer one machine's bad luck. */
export const CRASH_LOOP_FROM = 3;
/** Failed starts after which none was begun for an hour, once its pause was over, say nothing of the next one. */
export const CRASHES_FORGOTTEN_MS = 3_600_000;

/** Machines that an endpoint may have at once, with those that are about to end: a record is looked at in each round. */
export const INSTANCES_MAX = 1_000;
/** Machines without a record that are ended at once. The rest comes with later lists: a broken hook may list thousands. */
export const STRAYS_MAX = 100;
/** The newest changes of what is wanted, with their reasons: some hours of a busy endpoint, weeks of a quiet one. */
export const DECISIONS_KEPT = 1_000;
/** How long a start usually takes is the median of so many newest ones: an image or a model that has changed soon shows. */
export const START_USUAL_OF = 20;
/** With fewer than this the last one is named instead, since a median of two is one of the two. */
export const START_USUAL_FROM = 3;
/** Workers that are asked for ahead of jobs are kept for this long, if nothing else is said, and for a day at most: they are paid. */
export const WARM_DEFAULT_SECONDS = 300;
export const WARM_MAX_SECONDS = 86_400;
/** How long a start is taken to need while none is known, by which whoever waits for it is told when to come again: soon. */
export const UNKNOWN_START_MS = 10_000;
/** Brokers that are asked in an hour to look for machines that nobody owns: they answer at once, and a round may make 10,000 calls. */
export const FLEET_SWEEPS_MAX = 1_000;
