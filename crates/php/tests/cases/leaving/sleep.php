<?php
ignore_user_abort(true);
sleep(30);
