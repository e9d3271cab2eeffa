<?php
// load: psr
function work() {
    $log = new class extends Psr\Log\AbstractLogger { public $seen = []; public function log($level, $message, array $context = []) { $this->seen[] = "$level $message"; } };
    $log->warning('text');
    return [$log->seen, interface_exists('Psr\Http\Message\RequestInterface', false), Psr\Log\LogLevel::ALERT];
}
function left() { return ['interface' => !interface_exists('Psr\Log\LoggerInterface', false)]; }
