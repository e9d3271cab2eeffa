<?php
// A directory that is by turns one's own and, by a link, the victim's, while the server looks for a file in it.
require __DIR__ . '/../prelude.php';
$place = "$me->home/.hostel-prove-race-$server->run";
mkdir("$place/own", 0755, true);
file_put_contents("$place/own/public", 'nothing of worth');
$until = microtime(true) + 1.5;
$turns = 0;
while (microtime(true) < $until) {
    foreach (['own', $victim->place] as $target) {
        @unlink("$place/next");
        symlink($target, "$place/next");
        rename("$place/next", "$place/current");
        $turns++;
    }
}
say('switch the link', 'done', "$turns times");
@unlink("$place/current");
@unlink("$place/next");
unlink("$place/own/public");
rmdir("$place/own");
rmdir($place);
