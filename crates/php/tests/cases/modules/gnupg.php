<?php
// load: gnupg
function work() {
    $home = sys_get_temp_dir() . '/gnupg-' . getmypid();
    @mkdir($home, 0700);
    $g = new gnupg(['home_dir' => $home]);
    $g->seterrormode(gnupg::ERROR_SILENT);
    $g->setarmor(1);
    $answer = [$g->getengineinfo()['protocol'], @$g->import('no key'), $g->verify('text', false), $g->getprotocol()];
    array_map('unlink', glob("$home/*.*"));
    return $answer;
}
function left() { return ['error' => (string) (new gnupg)->geterror() !== '']; }
