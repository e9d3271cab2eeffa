<?php
// load: gearman
// without a server
function work() {
    $client = new GearmanClient;
    $client->setTimeout(500);
    try { $client->addServer('127.0.0.1', 1); } catch (GearmanException $e) { $said[] = $e->getMessage(); }
    $text = @$client->doNormal('reverse', 'text');
    $worker = new GearmanWorker;
    try { $worker->addServer('127.0.0.1', 1); } catch (GearmanException $e) { $said[] = $e->getMessage(); }
    $worker->addFunction('reverse', fn ($job) => strrev($job->workload()));
    $worker->setTimeout(100);
    return [$text, @$worker->work(), $said, $client->returnCode() !== GEARMAN_SUCCESS, gearman_version()];
}
function left() { return ['error' => (string) (new GearmanClient)->error() !== '']; }
