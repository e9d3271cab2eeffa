<?php
// A second name for the victim's file.
require __DIR__ . '/../prelude.php';
foreach ($victim->files as $number => $path) {
    foreach ([$me->home, '/tmp', '/var/tmp', $victim->place] as $directory) {
        $link = "$directory/hostel-prove-$told->marker-$number";
        attempt("link $path to $link", fn() => link($path, $link));
        if (is_file($link)) {
            attempt("read $link", fn() => content($link));
        }
        // What is in the victim's place is for the victim to find.
        if ($directory !== $victim->place) {
            @unlink($link);
        }
    }
}
